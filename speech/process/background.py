"""The threads of this project: each has a name that says what it does, and an end.

They are daemons, so that none keeps the process from ending. Whoever starts one ends it all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

NAME = "vnyatno"  # what the names of all begin with
END_SECONDS = 2.0  # that whoever ends threads waits for them: what is computed longer ends by itself


def thread(name: str, target: Callable[..., Any], *arguments: Any) -> threading.Thread:
    """A thread that is not started yet, called `vnyatno-` and `name`."""
    return threading.Thread(target=target, args=arguments, name=f"{NAME}-{name}", daemon=True)


def ended(threads: Iterable[threading.Thread], seconds: float = END_SECONDS) -> bool:
    """Wait for threads that were told to end, `seconds` for all of them together; whether all have ended.

    The caller's own thread and those that were never started are left out.
    """
    deadline = time.monotonic() + seconds
    waited = [each for each in threads if each is not threading.current_thread() and each.ident is not None]
    for each in waited:
        each.join(max(0.0, deadline - time.monotonic()))
    return not any(each.is_alive() for each in waited)

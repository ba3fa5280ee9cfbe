"""Processes that are in no hurry leave the processor to what is.

For processes, not for threads of one: a thread that gives way may do so while it holds what the others wait for.
"""

from __future__ import annotations

import os
from contextlib import suppress

_LEAST = 19  # a fiftieth of what a process of ordinary priority gets, where both want the same core


def give_way(process: int) -> None:
    """From now on a child process computes when nothing else wants its core."""
    with suppress(ProcessLookupError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, process, _LEAST)

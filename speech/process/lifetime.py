"""Child processes that are in no hurry leave the processor to what is, and none outlives its parent.

For processes, not for threads of one: a thread that gives way may do so while it holds what the others wait for.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress

_PR_SET_PDEATHSIG = 1  # prctl(2)
# A third of what a process of ordinary priority gets, where both want the same core. With less, children that decode
# for busy cores keep them waiting.
_LATER = 5


def give_way(process: int) -> None:
    """From now on a child process leaves most of a core to what else wants it."""
    with suppress(ProcessLookupError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, process, _LATER)


def ignore_group_signals() -> None:
    """What a terminal or a supervisor sends to all processes at once is for the parent to answer, which ends this one:
    a child that ends first looks as if its task had ended it."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)


def end_with(parent: int) -> None:
    """This process is killed when the thread of its parent that started it ends, even while it hangs or is stopped."""
    ignore_group_signals()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended already
        os._exit(1)

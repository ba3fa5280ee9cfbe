"""How long, how urgently and with which rights a child process runs: it gives way to others, and ends with its parent.

Processes give way, and not threads: a thread that gives way may hold what the others wait for.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # prctl(2)
# A third of what a process of ordinary priority gets, where both want the same core. With less, children that decode
# for busy cores keep them waiting.
_LATER = 5


def give_way(process: int) -> None:
    """From now on a child process leaves most of a core to what else wants it."""
    with suppress(ProcessLookupError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, process, _LATER)


def ignore_group_signals() -> None:
    """Leave to the parent what a terminal or a supervisor sends to all processes at once; the parent ends this one.

    A child that ends before its parent looks as if its task had ended it.
    """
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)


def give_up_rights() -> None:
    """From now on nothing that this process executes has more rights than it has. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this process cannot give up rights")


def end_with(parent: int) -> None:
    """Have this process killed when the thread of its parent that started it ends, even while it hangs or is held."""
    ignore_group_signals()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended already
        os._exit(1)

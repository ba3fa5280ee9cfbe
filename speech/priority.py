"""Work that is in no hurry leaves the processor to what is."""

from __future__ import annotations

import os
import sys
import threading

_LEAST = 19  # a fiftieth of what a thread of ordinary priority gets, where both want the same core


def give_way() -> None:
    """From now on this thread, and what it starts, computes when nothing else wants its core. Only Linux has this for
    a thread; elsewhere nothing changes."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST)

"""Which processes live that hold calls: each locks a file, and the system unlocks it however the process ends.

A process that was killed is known for dead at once, and one that was merely slow never is, as with leases that run out.
The lock holds between processes of one machine; so does the store.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path


class Locked:
    """A file that this process holds locked until it is closed, or the process ends."""

    def __init__(self, path: Path) -> None:
        """`path` appears locked: nobody can see it otherwise. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        self._handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        os.rename(temporary, path)

    def close(self) -> None:
        """Unlock the file and remove it."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            os.close(self._handle)


def is_held(path: Path) -> bool:
    """Whether a living process holds `path` locked; a file that is not there is held by nobody."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False

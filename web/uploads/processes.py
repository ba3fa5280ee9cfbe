"""Which processes of the web application live: each locks a file, and the system unlocks it however the process ends.

An upload is one process's. When that is killed, the next one that starts knows by the lock what is left over, and takes
nothing from a process that runs beside it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

_DIGITS = 16


class Process:
    """This process, as others see it until it is closed. `name`: 16 hexadecimal digits."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            self.name = secrets.token_hex(_DIGITS // 2)
            self._path = folder / self.name
            self._handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            if self._path.exists():
                return
            os.close(self._handle)  # another process took it for a dead one's before it was locked

    def close(self) -> None:
        """End to be seen."""
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            os.close(self._handle)


def living(folder: Path) -> set[str]:
    """Names of the processes that live; the files of the others are removed."""
    found = set()
    for path in folder.iterdir() if folder.is_dir() else ():
        if _is_held(path):
            found.add(path.name)
        else:
            path.unlink(missing_ok=True)
    return found


def owner_of(upload: str) -> str:
    """The name of the process whose upload goes by this name."""
    return upload[:_DIGITS]


def _is_held(path: Path) -> bool:
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

"""A bundle's weights in memory: read once, checked and sealed, and mapped by all workers of a service.

A file mapped where it lies can be cut off while it is served, which kills the process (SIGBUS). A copy in each worker
would take the memory as many times. So one worker copies the bytes into memory that only open file descriptors name
(memfd), and takes the checksum of the copy. The kernel seals it: nobody can change or shorten it any more. The other
workers, which have the same parent, find the copy in /proc by the checksum in its name. The memory is freed with the
last process that holds it, also where that is killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from speech.files import sha256_file

_BLOCK = 1 << 20
_DIGEST = re.compile("[0-9a-f]{64}")
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class DigestError(ValueError):
    """The file does not have the checksum that it should have."""


class Sealed:
    """Bytes that nobody can change. While this object lives, `path` opens them and other workers find them.

    A mapping of them stays valid after that, but nobody finds them any more.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def path(self) -> str:
        """The file to open or map in this process."""
        return f"/proc/self/fd/{self._descriptor}"

    def __del__(self) -> None:
        os.close(self._descriptor)


def sealed(path: Path, digest: str) -> Sealed:
    """The bytes of `path`, whose hex sha256 is `digest`, in memory: another worker's copy, or read now.

    Workers that look for the same file wait for each other, so that one of them reads it. Raises `DigestError`, and
    OSError where the file cannot be read.
    """
    if not _DIGEST.fullmatch(digest):
        raise DigestError(f"{digest!r} is no checksum")
    with _one_by_one(path.parent):
        found = _found(digest)
        if found is None:
            return Sealed(_read(path, digest))
    weights = Sealed(found)
    if sha256_file(path) != digest:  # a worker that starts after a fault of the disk must not hide it
        raise DigestError(f"{path} has another checksum than {digest}")
    return weights


@contextmanager
def _one_by_one(folder: Path) -> Iterator[None]:
    """Keep other processes out; a lock that goes with its process and needs no write access to the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # network file systems may have no locks; then each reads its own copy
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _name(digest: str) -> str:
    return f"vnyatno-{digest}"


def _read(path: Path, digest: str) -> int:
    descriptor = os.memfd_create(_name(digest), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        actual = hashlib.sha256()
        with path.open("rb") as source, os.fdopen(os.dup(descriptor), "wb") as target:
            while block := source.read(_BLOCK):
                actual.update(block)
                target.write(block)
        if actual.hexdigest() != digest:
            raise DigestError(f"{path} has another checksum than {digest}")
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _found(digest: str) -> int | None:
    """A sealed copy that a process of the same parent holds, opened here."""
    wanted = f"/memfd:{_name(digest)} (deleted)"
    for process in _siblings():
        with suppress(OSError):  # it ended meanwhile, or belongs to somebody else
            for entry in os.scandir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    if os.readlink(entry.path) == wanted and (descriptor := _opened(entry.path)) is not None:
                        return descriptor
    return None


def _opened(path: str) -> int | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS:
        return descriptor
    os.close(descriptor)  # nobody has checked it yet
    return None


def _siblings() -> list[int]:
    """The processes of this one's parent, itself among them."""
    import psutil

    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(os.getppid()).children()]
    return [os.getpid()]

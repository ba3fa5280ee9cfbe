"""One upload: a file that grows in its user's folder within limits, and is gone when it is dropped."""

from __future__ import annotations

import errno
import shutil
from dataclasses import dataclass
from typing import BinaryIO

from web.files import FileError, Folder

_LOOK_BYTES = 16 << 20  # between two looks at the room that is left
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Limits:
    """Bytes of one upload, and bytes that must stay free on the disk."""

    most: int
    free_bytes: int


class Incoming:
    """An upload of the user who has `folder`. Written by one thread at a time; any may drop it meanwhile."""

    def __init__(self, folder: Folder, name: str, limits: Limits) -> None:
        self.path = folder.path / name
        self.most = limits.most
        self.whole = False
        self._folder = folder
        self._limits = limits
        self._file: BinaryIO | None = None
        self._bytes = 0
        self._until_look = _LOOK_BYTES
        self._dropped = False

    def begin(self, announced: int) -> None:
        """Make the file, where `announced` bytes would find room. Raises `FileError`."""
        self._look(announced)
        try:
            self._file = self._folder.create(self.path.name)
        except OSError as error:
            raise _told(error) from error
        self._require_wanted()

    def write(self, data: memoryview) -> None:
        """Add to the file. Raises `FileError`; then it is to be dropped."""
        assert self._file is not None
        self._require_wanted()
        self._bytes += len(data)
        if self._bytes > self.most:
            raise FileError("file_too_large", self.most)
        self._until_look -= len(data)
        if self._until_look <= 0:
            self._look()
        try:
            self._file.write(data)
        except OSError as error:
            raise _told(error) from error

    def end(self) -> None:
        """The file is whole. Raises `FileError`; then it is to be dropped."""
        try:
            self.close()
        except OSError as error:
            raise _told(error) from error
        self._look()
        self._require_wanted()
        self.whole = True

    def close(self) -> None:
        """Write no more. Raises OSError where the disk is full; the file is closed then as well."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def drop(self) -> None:
        """Remove the file; whoever still writes to it is told."""
        self._dropped = True
        self.whole = False
        self.path.unlink(missing_ok=True)

    def _look(self, more: int = 0) -> None:
        """Raises `FileError` where the user has no room for what there is and `more`, or the disk has none."""
        self._until_look = _LOOK_BYTES
        if self._folder.size() + more > self._folder.max_bytes:
            raise FileError("file_no_room", self._folder.max_bytes)
        there = next(path for path in (self.path, *self.path.parents) if path.exists())
        if shutil.disk_usage(there).free - more < self._limits.free_bytes:
            raise FileError("file_disk_full")

    def _require_wanted(self) -> None:
        if self._dropped:  # maybe before there was a file
            self.path.unlink(missing_ok=True)
            raise FileError("file_not_found")


def _told(error: OSError) -> FileError:
    return FileError("file_disk_full" if error.errno in _FULL else "file_not_written")

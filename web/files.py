"""Users' files: a folder each, names that nobody chose, sizes with an end."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from web.language import size, text

_NAME = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,8}")
_DIRECTORY_MODE = 0o700
_BLOCK = 1 << 20
UPLOAD = "upload"
"""What the names of uploads end in that no page has kept yet, see `web.uploads`."""

Source = Path | BinaryIO
"""Bytes to be kept: a file of this folder's, which then has a second name, or one to be copied."""


class FileError(ValueError):
    """A file cannot be kept or found. `limit`: the bytes there may be, where there were more."""

    def __init__(self, key: str, limit: int = 0) -> None:
        super().__init__(f"{key} {limit}" if limit else key)
        self.key = key
        self.limit = limit

    def message(self, language: str) -> str:
        """What people are told."""
        return text(self.key, language, size=size(self.limit, language))


@dataclass(frozen=True)
class Folder:
    """One user's files. `name`s are what `add` gave; a name from elsewhere is refused, so none is ever a path."""

    path: Path
    max_file_bytes: int
    max_bytes: int

    def add(self, data: bytes | Source, suffix: str) -> str:
        """Keep a file, whole or not at all; its name. `suffix`: `wav`, without a dot. Raises `FileError`."""
        return self.store(BytesIO(data) if isinstance(data, bytes) else data, suffix, self.max_file_bytes)

    def store(self, source: Source, suffix: str, most: int) -> str:
        """`add` for what may be long, up to `most` bytes: it is read in blocks, from its beginning."""
        if isinstance(source, Path):
            return self._link(source, suffix, most)
        length = source.seek(0, os.SEEK_END)
        source.seek(0)
        if length > most:
            raise FileError("file_too_large", most)
        if self.size() + length > self.max_bytes:
            raise FileError("file_no_room", self.max_bytes)
        target = self._new_place(suffix)
        partial = target.with_suffix(".partial")
        try:
            with self.create(partial.name) as file:
                shutil.copyfileobj(source, file, _BLOCK)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise FileError("file_not_written") from error
        return target.name

    def create(self, name: str) -> BinaryIO:
        """A new and empty file that nobody else reads, to be written and closed. Raises OSError."""
        self.path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        return open(os.open(self._place(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def find(self, name: str) -> Path:
        """Where a file lies. Raises `FileError` where the user has no such file."""
        path = self._place(name)
        if not path.is_file():
            raise FileError("file_not_found")
        return path

    def open(self, name: str) -> BinaryIO:
        """A file to read from, to be closed. Raises `FileError` where the user has no such file."""
        try:
            return self._place(name).open("rb")
        except OSError as error:
            raise FileError("file_not_found") from error

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises `FileError` where the user has no such file."""
        try:
            return self._place(name).read_bytes()
        except OSError as error:
            raise FileError("file_not_found") from error

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        self._place(name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """All files, in no order that means anything."""
        if not self.path.is_dir():
            return []
        return sorted(entry.name for entry in self.path.iterdir() if _NAME.fullmatch(entry.name))

    def size(self) -> int:
        """Bytes of all files, uploads among them; of one that has two names once."""
        sizes: dict[int, int] = {}
        with suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # an upload may end at any moment
                    found = entry.stat(follow_symlinks=False)
                    sizes[found.st_ino] = found.st_size
        return sum(sizes.values())

    def room(self) -> int:
        """Bytes that may still be added."""
        return max(0, self.max_bytes - self.size())

    def _link(self, source: Path, suffix: str, most: int) -> str:
        """`store` for a file of this folder: its bytes lie here and are counted already, so none are copied."""
        try:
            with source.open("rb") as file:
                if os.fstat(file.fileno()).st_size > most:
                    raise FileError("file_too_large", most)
                if self.size() > self.max_bytes:
                    raise FileError("file_no_room", self.max_bytes)
                target = self._new_place(suffix)
                os.fsync(file.fileno())
                try:
                    os.link(source, target)
                except FileNotFoundError:
                    raise
                except OSError:  # a file system without links
                    return self.store(file, suffix, most)
        except OSError as error:
            raise FileError("file_not_found" if isinstance(error, FileNotFoundError) else "file_not_written") from error
        return target.name

    def _new_place(self, suffix: str) -> Path:
        return self._place(f"{secrets.token_hex(16)}.{suffix.lower()}")

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise FileError("file_not_found")
        return self.path / name


class FileStore:
    """All users' folders: `<root>/<user id>/`. Nothing of a user's may be kept on disk anywhere else."""

    def __init__(self, root: Path, max_file_bytes: int, max_user_bytes: int) -> None:
        self._root = root
        self._max_file_bytes = max_file_bytes
        self._max_user_bytes = max_user_bytes

    def of(self, user_id: int) -> Folder:
        """A user's folder; it is made when the first file comes."""
        return Folder(self._root / str(int(user_id)), self._max_file_bytes, self._max_user_bytes)

    def delete(self, user_id: int) -> None:
        """Delete a user's folder with all that is in it."""
        path = self.of(user_id).path
        if path.exists():
            shutil.rmtree(path)

    def owners(self) -> set[int]:
        """Ids of all users who have a folder."""
        if not self._root.is_dir():
            return set()
        return {int(entry.name) for entry in self._root.iterdir() if entry.name.isdecimal()}

"""A call's bytes as a file that a decoder can read: in place, or an entry of a zip unpacked for as long as needed."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

from calls.archive import Claim
from calls.intake import ARCHIVE
from calls.temporary import temporary_folder
from speech.archives.errors import DamagedArchive
from speech.archives.mended_zip import MendedZip
from speech.archives.zip_index import read_entry


class SourceError(ValueError):
    """A call whose bytes cannot be had; `code` is stable, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Sources:
    """Files of calls below a store's folder. Thread-safe; the zip that was read last stays open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._open: tuple[Path, zipfile.ZipFile] | None = None

    @contextmanager
    def file(self, claim: Claim) -> Iterator[Path]:
        """The call's file, there while the block runs. Raises `SourceError`; OSError where the disk is full."""
        if claim.kind == "zip":
            zip_file = Path(claim.root) if claim.root else self._folder / claim.archive / ARCHIVE
            with self._unpacked(zip_file, claim) as path:
                yield path
        else:
            root = Path(claim.root) if claim.root else self._folder / claim.archive
            yield _inside(root, claim.source)

    def close(self) -> None:
        """Close the zip, so that a deleted archive's bytes are freed."""
        with self._lock:
            if self._open is not None:
                self._open[1].close()
            self._open = None

    @contextmanager
    def _unpacked(self, zip_file: Path, claim: Claim) -> Iterator[Path]:
        folder = temporary_folder(self._folder, claim.holder)
        suffix = PurePosixPath(claim.name).suffix[:8]
        suffix = suffix if suffix.isascii() and suffix[1:].isalnum() else ""
        file = tempfile.NamedTemporaryFile(dir=folder, prefix="call-", suffix=suffix)  # noqa: SIM115
        with closing(file):  # `with file` leaves it behind where its last block finds no room
            try:
                zipped = self._zip(zip_file)
                entry = zipped.infolist()[int(claim.source)]
                for block in read_entry(claim.name, zipped, entry, claim.name, lambda *_: None):
                    file.write(block)
                file.flush()
            except FileNotFoundError as error:
                raise _gone() from error
            except (DamagedArchive, zipfile.BadZipFile, IndexError) as error:
                problem = error.problem if isinstance(error, DamagedArchive) else "the archive was changed"
                raise SourceError("damaged", f"{problem}; pack it again") from error
            yield Path(file.name)

    def _zip(self, zip_file: Path) -> zipfile.ZipFile:
        with self._lock:
            if self._open is None or self._open[0] != zip_file:
                # The one before may still be read by another thread: it closes when nobody has it any more.
                self._open = zip_file, MendedZip(str(zip_file), zip_file)
            return self._open[1]


def _inside(root: Path, source: str) -> Path:
    """The file, if it is still one of `root`'s own: a folder that is read in place may have changed since."""
    try:
        path = (root / source).resolve(strict=True)
        inside = path.is_relative_to(root.resolve(strict=True)) and path.is_file()
    except (OSError, RuntimeError):
        inside = False
    if not inside:
        raise _gone()
    return path


def _gone() -> SourceError:
    return SourceError("gone", "the file is no longer where it was when the batch was taken in")

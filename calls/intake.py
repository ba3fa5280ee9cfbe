"""From a zip, several files or a folder to the files of an archive: which are judged, and why the others are not.

A zip stays as it was uploaded, and its entries are unpacked one at a time when their turn comes: what is wrong with one
is that file's failure, and the disk holds no call twice.
"""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from calls.archive import NewCall
from calls.errors import IntakeError
from speech.archives.errors import (
    ArchiveError,
    EncryptedArchive,
    NotAnArchive,
    Truncated,
    UnsafeArchive,
    UnsupportedArchive,
)
from speech.archives.names import LEFT_BEHIND, loose_parts, reason_to_ignore, safe_parts
from speech.archives.signatures import HEAD_BYTES, is_zip_head, other_archive
from speech.archives.zip_index import check_entry, open_zip

ARCHIVE = "archive.zip"
FILES = "files"
_RATIO = 100.0  # unpacked to packed bytes; recordings give 1 to 3
_RATIO_FROM = 64 * 10**6  # bytes from which on that counts: a silent recording packs a thousandfold and harms nobody
_CODES: dict[type[ArchiveError], str] = {
    EncryptedArchive: "encrypted",
    UnsupportedArchive: "unsupported_packing",
    UnsafeArchive: "unsafe_entry",
}
_NESTED = ("nested_archive", "an archive among the recordings is not opened; send it as a batch of its own")
_TWICE = ("twice", "a file of this name stands earlier in the batch; that one was judged")


@dataclass(frozen=True)
class IntakeLimits:
    """How much one archive may be. Bytes of a file and of all of them count unpacked."""

    max_files: int = 50_000
    max_file_bytes: int = 2 * 10**9
    max_bytes: int = 50 * 10**9


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does. Raises OSError."""
    return is_zip_head(_head(path))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def from_zip(path: Path, name: str, limits: IntakeLimits) -> list[NewCall]:
    """The files of a zip; `name` is what messages call it. Sources are places in its table of contents.

    Raises `IntakeError`.
    """
    try:
        with open_zip(name, path, limits.max_files, whole=False) as (_, entries):
            items = [
                _entry(name, number, entry, called, limits)
                for number, (entry, called) in enumerate(entries)
                if not _passed_over(called)
            ]
    except Truncated as error:
        raise IntakeError("truncated", f"{error.problem}; send it again, whole") from error
    except NotAnArchive as error:
        raise IntakeError("bad_archive", f"{error.problem}; send a .zip, or the recordings themselves") from error
    except UnsafeArchive as error:
        code = "too_many_files" if "entries, more than" in error.problem else "unsafe_archive"
        raise IntakeError(code, f"{error.problem}; {_small(error.remedy)}") from error
    except ArchiveError as error:
        raise IntakeError("bad_archive", f"{error.problem}; {_small(error.remedy)}") from error
    announced = sum(item.bytes for item in items if not item.code)
    if announced > max(_RATIO * path.stat().st_size, _RATIO_FROM):
        raise IntakeError("unsafe_archive", "the archive would grow more than a hundredfold, as zip bombs do")
    return _checked(items, limits)


def from_files(files: Iterable[tuple[str, Path]], folder: Path, limits: IntakeLimits) -> list[NewCall]:
    """Uploaded files, each with the name that its sender gave it; sources are relative to `folder`.

    Raises `IntakeError`, `unsupported_archive` where none of them is a recording and all are archives that are not
    opened.
    """
    sent = [(name, path) for name, path in files if not _passed_over(name)]
    kinds = [other_archive(_head(path)) for _, path in sent]
    if sent and all(kinds):
        what = f"{printable(sent[0][0])}: this is {kinds[0]}, which is not opened"
        raise IntakeError("unsupported_archive", f"{what}; pack the recordings into a .zip, or send them as they are")
    return _checked([_file(name, path, folder, limits) for name, path in sent], limits)


def from_folder(root: Path, limits: IntakeLimits) -> list[NewCall]:
    """Files below `root`, which is resolved already; links are not followed. Sources are relative to it.

    Raises `IntakeError`, OSError where the folder cannot be read.
    """
    items: list[NewCall] = []
    for path in _below(root):
        if len(items) >= limits.max_files:
            raise _too_many(limits)
        items.append(_file(str(path.relative_to(root)), path, root, limits))
    return _checked(items, limits)


def allowed_folder(name: str, roots: Iterable[Path]) -> Path:
    """The folder that `name` leads to, links and all, where that lies in one of `roots`; else raises `IntakeError`.

    What is outside is answered like what is not there.
    """
    refused = IntakeError("bad_folder", "there is no such folder below those that the setting batch_roots names")
    if "\0" in name:
        raise refused
    try:
        folder = Path(name).resolve(strict=True)
        inside = any(folder.is_relative_to(root.resolve(strict=True)) for root in roots)
    except (OSError, RuntimeError) as error:
        raise refused from error
    if not Path(name).is_absolute() or not inside or not folder.is_dir():
        raise refused
    return folder


def _below(folder: Path) -> Iterator[Path]:
    """Regular files below a folder, by name."""
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if not _passed_over(str(path.relative_to(folder))) and stat.S_ISREG(path.lstat().st_mode):
                yield path


def _raise(error: OSError) -> None:
    raise error


def _passed_over(name: str) -> bool:
    """Whether a name is a folder's, or of what operating systems leave behind."""
    if name.endswith(("/", "\\")):
        return True
    return reason_to_ignore(tuple(part for part in loose_parts(name) if part != "..")) == LEFT_BEHIND


def _entry(source: str, number: int, entry: zipfile.ZipInfo, name: str, limits: IntakeLimits) -> NewCall:
    def refused(code: str, error: ArchiveError) -> NewCall:
        return NewCall(printable(name), str(number), entry.file_size, code, f"{error.problem}; {_small(error.remedy)}")

    try:
        shown = "/".join(safe_parts(source, name))
    except ArchiveError as error:
        return refused("unsafe_name", error)
    try:
        check_entry(source, entry, name)
    except ArchiveError as error:
        return refused(_CODES[type(error)], error)
    fault = _fault(shown, entry.file_size, limits)
    return NewCall(shown, str(number), entry.file_size, *fault)


def _file(name: str, path: Path, folder: Path, limits: IntakeLimits) -> NewCall:
    size = path.stat().st_size
    shown = printable(name)
    if not name.isprintable() and any(unicodedata.category(each) == "Cs" for each in name):
        return NewCall(shown, "", size, "unsafe_name", "the file's name is no text; rename it")
    fault = _fault(name, size, limits)
    if fault == (None, None):
        head = _head(path)
        if is_zip_head(head) or other_archive(head):
            fault = _NESTED
    return NewCall(shown, str(path.relative_to(folder)), size, *fault)


def _fault(name: str, size: int, limits: IntakeLimits) -> tuple[str, str] | tuple[None, None]:
    if reason_to_ignore((name.rpartition("/")[2],)) is not None:
        return _NESTED
    if size == 0:
        return "empty", "the file is empty"
    if size > limits.max_file_bytes:
        most = limits.max_file_bytes / 1e6
        return "too_large", f"{size / 1e6:.1f} MB; at most {most:.0f} MB are taken of one file"
    return None, None


def _checked(items: list[NewCall], limits: IntakeLimits) -> list[NewCall]:
    """The items, those that come twice refused. Raises `IntakeError` where there are none, or too much."""
    if not items:
        raise IntakeError("empty_batch", "there is no file in it; send recordings, or a zip of them")
    if len(items) > limits.max_files:
        raise _too_many(limits)
    size = sum(item.bytes for item in items if not item.code)
    if size > limits.max_bytes:
        most = limits.max_bytes / 1e9
        raise IntakeError(
            "too_large", f"{size / 1e9:.1f} GB of files; at most {most:.1f} GB are taken: split the batch"
        )
    seen: set[str] = set()
    checked = []
    for item in items:
        key = unicodedata.normalize("NFC", item.name)
        if key in seen and item.code is None:
            item = NewCall(item.name, item.source, item.bytes, *_TWICE)
        seen.add(key)
        checked.append(item)
    return checked


def printable(name: str) -> str:
    """A name as lists and tables can hold it: what no text may hold is replaced, and it is cut where it is endless."""
    kept = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(each) in ("Cc", "Cs") else each for each in name)
    return kept[:1024]


def _too_many(limits: IntakeLimits) -> IntakeError:
    return IntakeError("too_many_files", f"more than the {limits.max_files} files that are taken: split the batch")


def _small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]

"""Unpacks a training archive safely: bounded by the bytes that really come out, whatever its headers say."""

from __future__ import annotations

import shutil
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from pipeline.archive.budget import Budget, UnpackLimits, too_much
from pipeline.archive.layout import places
from pipeline.archive.meter import Meter
from pipeline.progress import Report
from speech.archives.errors import (
    DiskFull,
    ImpossibleName,
    UnsafeArchive,
    is_disk_full,
    megabytes,
    shown,
)
from speech.archives.names import LEFT_BEHIND, loose_parts, reason_to_ignore, safe_parts
from speech.archives.zip_index import Named, open_zip, read_entry

__all__ = ["Ignored", "UnpackLimits", "Unpacked", "unpack"]


@dataclass(frozen=True)
class Ignored:
    """An entry that was not unpacked."""

    name: str
    reason: str


@dataclass(frozen=True)
class Unpacked:
    """What came out of an archive; of what was ignored first what is no leaving of a system."""

    files: int
    bytes: int
    ignored: tuple[Ignored, ...]


def unpack(archive: Path, target: Path, limits: UnpackLimits, progress: Report, source: str | None = None) -> Unpacked:
    """Unpack `archive` to `<target>/data_train.csv` (if it has one) and `<target>/data_mp3/<folder>/<recording>`.

    `target` is an empty folder, or is made. On an error it is left half-full: give a temporary folder that is renamed
    when all is done (`speech.files.whole_folder`). `source` names the archive in messages; by default its path.
    Wrapper folders are stripped, names become composed Unicode, what systems leave behind is ignored.

    Raises:
        ArchiveError: its sub-class tells what is wrong with the archive; DiskFull if there is no room.
        ValueError: `target` is not empty.
    """
    source = str(archive) if source is None else source
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise ValueError(f"{target} is not empty")
    with open_zip(source, archive, limits.max_files) as (zipped, entries):
        plan, ignored = _plan(source, entries)
        announced = sum(entry.file_size for entry, _ in plan)
        _check_announced(source, announced, target, limits)
        title = f"unpacking {shown(source)}"
        budget = Budget(source, limits, archive.stat().st_size, Meter(title, announced, progress))
        try:
            return _extract(zipped, plan, ignored, target, budget)
        except OSError as error:
            if is_disk_full(error):
                raise DiskFull.of(source, target, announced, shutil.disk_usage(target).free) from error
            raise


def _plan(source: str, entries: list[Named]) -> tuple[list[tuple[zipfile.ZipInfo, PurePosixPath]], list[Ignored]]:
    """Which entries go where, and which are left out. Every name is checked, also of those left out.

    A name that leads elsewhere refuses the archive, one that is merely impossible costs its entry.
    """
    ignored: list[Ignored] = []
    data: list[tuple[zipfile.ZipInfo, tuple[str, ...]]] = []
    for entry, name in entries:
        reason = reason_to_ignore(loose_parts(name))
        try:
            parts = safe_parts(source, name)
        except ImpossibleName as error:
            ignored.append(Ignored(name, reason or f"{error.problem}: {error.remedy}"))
            continue
        if not parts or name.endswith(("/", "\\")):
            continue
        if reason is not None:
            ignored.append(Ignored(name, reason))
        else:
            data.append((entry, parts))
    plan: list[tuple[zipfile.ZipInfo, PurePosixPath]] = []
    for (entry, parts), place in zip(data, places(source, [parts for _, parts in data]), strict=True):
        if place is None:
            ignored.append(Ignored("/".join(parts), "neither data_train.csv nor below data_mp3"))
        else:
            plan.append((entry, place))
    return plan, ignored


def _check_announced(source: str, announced: int, target: Path, limits: UnpackLimits) -> None:
    """What the headers admit already: too much for the limits or for the disk."""
    if announced > limits.max_bytes:
        raise too_much(source, f"{megabytes(announced)} unpacked", f"{megabytes(limits.max_bytes)}", "max_bytes")
    free = shutil.disk_usage(target).free
    if announced > free:
        raise DiskFull.of(source, target, announced, free)


def _extract(
    zipped: zipfile.ZipFile,
    plan: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    ignored: list[Ignored],
    target: Path,
    budget: Budget,
) -> Unpacked:
    taken: dict[str, PurePosixPath] = {}
    folders: set[str] = set()
    for entry, place in plan:
        # File systems of macOS and Windows hold names for equal that differ in case only.
        key = unicodedata.normalize("NFC", str(place).casefold())
        blocks = read_entry(budget.source, zipped, entry, str(place), partial(budget.spend, str(place)))
        if key in taken:
            _check_equal(budget.source, target / taken[key], str(place), blocks)
            ignored.append(Ignored(str(place), f"the same as {taken[key]}"))
            continue
        above = {unicodedata.normalize("NFC", str(folder).casefold()) for folder in place.parents}
        if key in folders or above & taken.keys():
            raise UnsafeArchive(
                budget.source,
                f"{str(place)!r} is both a file and a folder",
                "Pack the archive again without one of them",
            )
        folders |= above
        taken[key] = place
        path = target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for block in blocks:
                file.write(block)
    budget.meter.finish()
    size = sum((target / place).stat().st_size for place in taken.values())
    return Unpacked(len(taken), size, tuple(sorted(ignored, key=lambda one: one.reason == LEFT_BEHIND)))


def _check_equal(source: str, path: Path, name: str, blocks: Iterator[bytes]) -> None:
    """Raise unless `blocks` are the bytes of `path`; all of them are read, so that they are counted and checked."""
    equal = True
    with path.open("rb") as file:
        for block in blocks:
            equal = equal and file.read(len(block)) == block
        equal = equal and not file.read(1)
    if not equal:
        raise UnsafeArchive(
            source,
            f"the archive holds two different files {name!r} (names that differ in case or accents count as one)",
            "Rename one of them and pack the archive again",
        )

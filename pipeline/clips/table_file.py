"""The file that is an archive's table: `data_train.csv`, or the one other file that reads like it. It is read once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.clips.errors import TableError
from pipeline.clips.matching import AUDIO_FOLDER
from pipeline.clips.names import normal
from tabular.content import Content, ContentError
from tabular.tables import parse

TABLE_NAME = "data_train.csv"
_STEM = TABLE_NAME.partition(".")[0]
_DELIMITED = frozenset({".csv", ".tsv", ".tab"})
_WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers"})
_MOST_BYTES = 64 << 20  # of a file that is looked into; tables of a million rows are smaller
_NAMED = 5


@dataclass(frozen=True)
class TableFile:
    """The table and what is in it, None where none is told from the rest; remarks for the report."""

    path: Path | None
    content: Content | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A file that could be the table: what is in it and the roles that its header names, or why it cannot be read."""

    path: Path
    content: Content | None = None
    roles: frozenset[str] = frozenset()
    error: str = ""

    @property
    def is_book(self) -> bool:
        return self.path.suffix.casefold() in _WORKBOOKS


def find_table(folder: Path, headers: Mapping[str, str], needed: Sequence[str] = ()) -> TableFile:
    """The table of an unpacked archive.

    `data_train.csv` at the top is it, however its name is cased. Else it is the one delimited text or workbook, of any
    name and at any place, whose header names a file column and another one, and the `needed` roles; of several the one
    that is called data_train, or has labels; of a workbook and a text of one name the text. `headers` are normalised
    column names with their roles. Raises `TableError` where two differ in case, or `data_train.csv` cannot be read.
    """
    exact = sorted(path for path in folder.iterdir() if path.is_file() and path.name.casefold() == TABLE_NAME)
    if len(exact) > 1:
        raise TableError(f"two tables differ only in case: {', '.join(path.name for path in exact)}; keep one")
    if exact:
        return _told(folder, exact[0], _of_contract(exact[0], headers))
    found = [_candidate(path, headers) for path in sorted(_candidates(folder))]
    usable = [one for one in found if {"file", *needed} <= one.roles and len(one.roles) > 1]
    texts = {one.path.with_suffix("") for one in usable if not one.is_book}
    usable = [one for one in usable if not one.is_book or one.path.with_suffix("") not in texts]
    named = [one for one in usable if one.path.name.casefold().startswith(_STEM)]
    labelled = [one for one in usable if "label" in one.roles]
    chosen = next((few for few in (named, labelled) if len(few) == 1), usable)
    none = f"there is no {TABLE_NAME} at the top of the archive"
    if len(chosen) == 1 and chosen[0].content is not None:
        return _told(folder, chosen[0].path, chosen[0].content, f"{none}; its table is {_shown(folder, chosen)}")
    return TableFile(None, notes=(f"{none}, so its recordings serve pretraining only{_remedy(folder, found, usable)}",))


def _told(folder: Path, path: Path, content: Content, *notes: str) -> TableFile:
    name = path.relative_to(folder).as_posix()
    return TableFile(path, content, (*notes, *(f"{name}: {note}" for note in content.notes)))


def _of_contract(path: Path, headers: Mapping[str, str]) -> Content:
    data = path.read_bytes()
    try:
        return _parsed(path, data, headers)
    except ContentError as error:
        raise TableError(f"{path.name}: {error}", rows=data.count(b"\n")) from error


def _candidate(path: Path, headers: Mapping[str, str]) -> _Candidate:
    if path.stat().st_size > _MOST_BYTES:
        return _Candidate(path, error=f"it is larger than {_MOST_BYTES >> 20} MiB")
    try:
        content = _parsed(path, path.read_bytes(), headers)
    except ContentError as error:
        return _Candidate(path, error=str(error))
    roles = frozenset(headers[normal(cell)] for cell in content.header if normal(cell) in headers)
    return _Candidate(path, content if roles else None, roles)


def _parsed(path: Path, data: bytes, headers: Mapping[str, str]) -> Content:
    return parse(data, lambda header: sum(normal(cell) in headers for cell in header), {path.stem, _STEM})


def _remedy(folder: Path, found: list[_Candidate], usable: list[_Candidate]) -> str:
    """What to do with the tables that were found, after a comma or so."""
    if usable:
        return f"; several could be it: {_shown(folder, usable)}; rename the right one to {TABLE_NAME}"
    remedy = ""
    for book in [one for one in found if one.is_book and one.error][:_NAMED]:
        remedy += f"; the workbook {_shown(folder, [book])} is not read: {book.error}"
    books = [one for one in found if one.is_book and not one.error]
    if books:
        remedy += f"; to use the workbook {_shown(folder, books)} name a file column in a sheet's header"
    called = [one for one in found if one.path.suffix.casefold() in _DELIMITED or one.path.stem.casefold() == _STEM]
    others = [one for one in called if not one.is_book]
    if others:
        remedy += f"; to use {_shown(folder, others)} rename it to {TABLE_NAME}, with a file column in its header"
    return remedy


def _candidates(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root) / name
            suffix, called = path.suffix.casefold(), name.casefold().startswith(_STEM)
            # Texts among the recordings are what was said in them, one a file.
            text = suffix == ".txt" and AUDIO_FOLDER not in path.relative_to(folder).parts
            if (suffix in _DELIMITED | _WORKBOOKS or called or text) and not name.startswith(".") and path.is_file():
                yield path


def _shown(folder: Path, found: Sequence[_Candidate]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(one.path.relative_to(folder).as_posix() for one in found[:_NAMED]) + more

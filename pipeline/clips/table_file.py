"""The file that is an archive's table: `data_train.csv`, or the one other file that reads like it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.clips.errors import TableError
from pipeline.clips.matching import AUDIO_FOLDER
from pipeline.clips.names import normal
from tabular.delimited import DelimitedError, parse

TABLE_NAME = "data_train.csv"
_STEM = TABLE_NAME.partition(".")[0]
_DELIMITED = frozenset({".csv", ".tsv", ".tab"})
_WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers"})
_MOST_BYTES = 64 << 20  # of a file that is looked into; tables of a million rows are smaller
_NAMED = 5


@dataclass(frozen=True)
class TableFile:
    """The table, None where none is told from the rest; remarks for the report."""

    path: Path | None
    notes: tuple[str, ...] = ()


def find_table(folder: Path, headers: Mapping[str, str], needed: Sequence[str] = ()) -> TableFile:
    """The table of an unpacked archive.

    `data_train.csv` at the top is it, however its name is cased. Else it is the one delimited text, of any name and at
    any place, whose header names a file column and another one, and the `needed` roles; of several the one that is
    called data_train, or has labels. `headers` are normalised column names with their roles. Raises `TableError` where
    two differ in case.
    """
    exact = sorted(path for path in folder.iterdir() if path.is_file() and path.name.casefold() == TABLE_NAME)
    if len(exact) > 1:
        raise TableError(f"two tables differ only in case: {', '.join(path.name for path in exact)}; keep one")
    if exact:
        return TableFile(exact[0])
    found = sorted(_candidates(folder))
    roles = {path: _roles(path, headers) for path in found if path.suffix.casefold() not in _WORKBOOKS}
    usable = [path for path, names in roles.items() if "file" in names and len(names) > 1 and names.issuperset(needed)]
    named = [path for path in usable if path.name.casefold().startswith(_STEM)]
    labelled = [path for path in usable if "label" in roles[path]]
    chosen = next((few for few in (named, labelled) if len(few) == 1), usable)
    none = f"there is no {TABLE_NAME} at the top of the archive"
    if len(chosen) == 1:
        return TableFile(chosen[0], (f"{none}; its table is {_shown(folder, chosen)}",))
    return TableFile(None, (f"{none}, so its recordings serve pretraining only{_remedy(folder, found, usable)}",))


def _remedy(folder: Path, found: list[Path], usable: list[Path]) -> str:
    """What to do with the tables that were found, after a comma or so."""
    if usable:
        return f"; several could be it: {_shown(folder, usable)}; rename the right one to {TABLE_NAME}"
    books = [path for path in found if path.suffix.casefold() in _WORKBOOKS]
    others = [path for path in found if path.suffix.casefold() in _DELIMITED or path.stem.casefold() == _STEM]
    others = [path for path in others if path not in books]
    remedy = ""
    if books:
        remedy += f"; to use the workbook {_shown(folder, books)} save its table as CSV (UTF-8) called {TABLE_NAME}"
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


def _roles(path: Path, headers: Mapping[str, str]) -> set[str]:
    """The roles that a file's header names; none of one that is no table."""
    if path.stat().st_size > _MOST_BYTES:
        return set()
    try:
        content = parse(path.read_bytes(), lambda header: sum(normal(cell) in headers for cell in header))
    except DelimitedError:
        return set()
    return {headers[normal(cell)] for cell in content.header if normal(cell) in headers}


def _shown(folder: Path, paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(path.relative_to(folder).as_posix() for path in paths[:_NAMED]) + more

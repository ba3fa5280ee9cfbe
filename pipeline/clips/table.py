"""The table of an archive: `data_train.csv` read by configured names, nothing guessed, every bad row named."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.clips.errors import ClipsError
from pipeline.clips.labels import LabelError, read_labels
from tabular.delimited import Delimited, DelimitedError, Record, parse

TABLE_NAME = "data_train.csv"
SLICE_ROLE = "group"  # sex, age, accent: several columns of that kind are usual, one is used, nothing depends on it
SPEECH = "speech"  # the one class of clips that are told by their text

TextFault = Callable[[str], tuple[str, str] | None]
"""What is wrong with a text: a code for machines and a sentence for people; None where it can be used."""

_WHOLE_FLOAT = re.compile(r"(\d+)\.0+")  # spreadsheets turn the label 2 into 2.0 where a column has gaps
_SPACE = re.compile(r"\s+")
_SHOWN_LABELS = 12


class TableError(ClipsError):
    """A table that cannot be used at all; the message names the file and what to do.

    `rows` is how many records it held, as far as they could be counted.
    """

    def __init__(self, message: str, rows: int = 0) -> None:
        super().__init__(message)
        self.rows = rows


class VocabularyError(ClipsError):
    """The configured aliases contradict each other: one name stands for two things."""


@dataclass(frozen=True)
class Row:
    """One usable row: what the table says of one recording. `line` counts as a spreadsheet does, the header being 1."""

    line: int
    file: str
    label: str | None = None
    speaker: str | None = None
    text: str | None = None
    split: str | None = None
    group: str | None = None
    also: tuple[str, ...] = ()
    """Further labels, where a recording may have several."""
    stratum: str | None = None
    """What the label column says of a recording that is told by its text."""


@dataclass(frozen=True)
class RowFault:
    """One row that cannot be used, and why."""

    line: int
    file: str
    code: str
    message: str


@dataclass(frozen=True)
class Table:
    """A table as read. Without a `path` the archive has none, and all its audio serves pretraining."""

    path: Path | None
    rows: tuple[Row, ...] = ()
    faults: tuple[RowFault, ...] = ()
    notes: tuple[str, ...] = ()
    encoding: str | None = None
    delimiter: str | None = None
    columns: Mapping[str, str] | None = None
    """Role to the header it was recognised by."""


def normal(name: str) -> str:
    """A name as it is compared: composed, without case, outer and repeated space, ё written as е."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", name)).strip().casefold().replace("ё", "е")


def read_table(
    folder: Path,
    columns: Mapping[str, Sequence[str]],
    classes: Mapping[str, Sequence[str]],
    splits: Mapping[str, Sequence[str]],
    *,
    exclusive: bool = True,
    text_fault: TextFault | None = None,
) -> Table:
    """Read the table of an unpacked archive.

    `columns` maps a role (`file`, `label`, `speaker`, `text`, `split`, `group`) to the headers that mean it, `classes`
    a class and `splits` a split to the values that mean it; each also goes by its own name. Where classes are not
    `exclusive`, a label cell may name several (`pipeline.clips.labels`). Rows that cannot be used come back as faults.
    Of several group columns the first is used. With `text_fault` the label of every row whose text can be used is
    `SPEECH`, the others are faults, and what the label column says is but their stratum. Raises `TableError` where the
    table has no file (with `text_fault`: or no text) column, two columns for another role, or is no delimited text;
    `VocabularyError` where the aliases clash.
    """
    names = {
        "column": aliases(columns, "column"),
        "label": aliases(classes, "class"),
        "split": aliases(splits, "split"),
    }
    path, notes = find_table(folder)
    if path is None:
        return Table(None, notes=tuple(notes))
    data = path.read_bytes()
    try:
        content = parse(data, lambda header: sum(normal(cell) in names["column"] for cell in header))
    except DelimitedError as error:
        raise TableError(f"{path.name}: {error}", rows=data.count(b"\n")) from error
    needed = ("file",) if text_fault is None else ("file", "text")
    places = _places(path.name, content, names["column"], columns, needed)
    told = places.pop("label", None) if text_fault is not None else None
    used = {*places.values(), told}
    unused = [header for index, header in enumerate(content.header) if index not in used and header.strip()]
    if unused:
        notes.append(f"{path.name}: columns not used: {', '.join(unused)}")
    read = [_row(record, len(content.header), places, names, exclusive) for record in content.records]
    if text_fault is not None:
        strata = {record.number: _stratum(record, told) for record in content.records}
        read = [_told_by_text(row, text_fault, strata) if isinstance(row, Row) else row for row in read]
    return Table(
        path,
        tuple(row for row in read if isinstance(row, Row)),
        tuple(row for row in read if isinstance(row, RowFault)),
        tuple(notes),
        content.encoding,
        content.delimiter,
        {role: content.header[index].strip() for role, index in places.items()},
    )


def aliases(meanings: Mapping[str, Sequence[str]], kind: str) -> dict[str, str]:
    """Normalised name to what it means. Raises `VocabularyError` where one name means two things."""
    found: dict[str, str] = {}
    for meaning, names in meanings.items():
        for name in (meaning, *names):
            other = found.setdefault(normal(str(name)), meaning)
            if other != meaning:
                raise VocabularyError(f"the name {name!r} stands for two {kind} names, {other} and {meaning}; keep one")
    return found


def find_table(folder: Path) -> tuple[Path | None, list[str]]:
    """The table of an unpacked archive, however its name is cased, and notes for the report."""
    tables = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.casefold() == ".csv")
    exact = [path for path in tables if path.name.casefold() == TABLE_NAME]
    if len(exact) > 1:
        raise TableError(f"two tables differ only in case: {', '.join(path.name for path in exact)}; keep one")
    if exact:
        return exact[0], []
    note = f"no {TABLE_NAME} at the top of the archive: its recordings have no labels and serve pretraining only"
    if tables:
        note += f"; to use {', '.join(path.name for path in tables)} rename it to {TABLE_NAME}"
    return None, [note]


def _places(
    table: str,
    content: Delimited,
    names: Mapping[str, str],
    columns: Mapping[str, Sequence[str]],
    needed: Sequence[str],
) -> dict[str, int]:
    """Role to the index of its column; raises `TableError` where one of the `needed` roles has none."""
    places: dict[str, int] = {}
    for index, header in enumerate(content.header):
        role = names.get(normal(header))
        if role is None:
            continue
        if role in places and role == SLICE_ROLE:
            continue
        if role in places:
            both = f"{content.header[places[role]]!r} and {header!r}"
            raise TableError(f"{table}: columns {both} both mean {role}; remove one", len(content.records))
        places[role] = index
    for role in needed:
        if role not in places:
            known = ", ".join(dict.fromkeys((role, *columns.get(role, ()))))
            found = ", ".join(repr(header) for header in content.header)
            message = f"{table}: no {role} column; its header is {found}; one column must be named one of: {known}"
            raise TableError(message, len(content.records))
    return places


def _row(
    record: Record,
    width: int,
    places: Mapping[str, int],
    names: Mapping[str, Mapping[str, str]],
    exclusive: bool,
) -> Row | RowFault:
    if record.error is not None:
        message = f"quotes do not match ({record.error}); double inner quotes"
        return RowFault(record.number, "", "malformed_row", message)
    cells = {
        role: unicodedata.normalize("NFC", record.cells[index]).strip() if index < len(record.cells) else ""
        for role, index in places.items()
    }
    file = cells["file"]
    if any(map(str.strip, record.cells[width:])):
        message = f"{len(record.cells)} cells under {width} columns; put cells that hold the delimiter into quotes"
        return RowFault(record.number, file, "malformed_row", message)
    if not file:
        return RowFault(record.number, "", "no_file_named", "the file cell is empty")
    try:
        label, *also = _labels(cells.get("label"), names["label"], exclusive) or (None,)
    except LabelError as error:
        return RowFault(record.number, file, error.code, str(error))
    split, value = None, cells.get("split")
    if value:
        split = _meaning(value, names["split"])
        if split is None:
            message = f"unknown split {value!r}; allowed: {_shown(names['split'])}"
            return RowFault(record.number, file, "unknown_split", message)
    said = {role: cells.get(role) or None for role in ("speaker", "text", "group")}
    return Row(record.number, file, **said, label=label, split=split, also=tuple(also))


def _stratum(record: Record, index: int | None) -> str | None:
    return normal(record.cells[index]) or None if index is not None and index < len(record.cells) else None


def _told_by_text(row: Row, text_fault: TextFault, strata: Mapping[int, str | None]) -> Row | RowFault:
    wrong = text_fault(row.text or "")
    if wrong is not None:
        return RowFault(row.line, row.file, *wrong)
    return replace(row, label=SPEECH, stratum=strata[row.line])


def _labels(cell: str | None, names: Mapping[str, str], exclusive: bool) -> tuple[str, ...]:
    if not cell:
        return ()
    classes = list(dict.fromkeys(names.values()))
    return read_labels(cell, lambda name: _meaning(name, names), classes, _shown(names), exclusive=exclusive)


def _meaning(value: str, names: Mapping[str, str]) -> str | None:
    number = _WHOLE_FLOAT.fullmatch(value)
    return names.get(number.group(1) if number else normal(value))


def _shown(names: Mapping[str, str]) -> str:
    """Allowed values for a message: each meaning with its other names."""
    by_meaning: dict[str, list[str]] = {}
    for name, meaning in names.items():
        if name != meaning:
            by_meaning.setdefault(meaning, []).append(name)
    meanings: Iterable[str] = dict.fromkeys(names.values())
    return "; ".join(
        f"{meaning} ({', '.join(by_meaning[meaning][:_SHOWN_LABELS])})" if meaning in by_meaning else meaning
        for meaning in meanings
    )

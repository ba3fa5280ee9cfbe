"""The table of an archive, read by configured names, nothing guessed, every bad row named."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.clips.columns import Columns
from pipeline.clips.errors import TableError, VocabularyError
from pipeline.clips.labels import LabelError, read_labels
from pipeline.clips.names import aliases, meaning, normal, shown
from pipeline.clips.table_file import find_table
from speech.defects.spec import REFERENCE_CLASS
from tabular.content import Record
from tabular.letters import visible
from tabular.spreadsheets import fault_of

__all__ = ["SPEECH", "Row", "Table", "TableError", "TextFault", "VocabularyError", "read_table"]

SPEECH = "speech"  # the one class of clips that are told by their text

TextFault = Callable[[str], tuple[str, str] | None]
"""What is wrong with a text: a code for machines and a sentence for people; None where it can be used."""


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


def read_table(
    folder: Path,
    columns: Mapping[str, Sequence[str]],
    classes: Mapping[str, Sequence[str]],
    splits: Mapping[str, Sequence[str]],
    *,
    exclusive: bool = True,
    text_fault: TextFault | None = None,
) -> Table:
    """Read the table of an unpacked archive (`pipeline.clips.table_file` says which file that is).

    `columns` maps a role (`file`, `label`, `speaker`, `text`, `split`, `group`) to the headers that mean it, `classes`
    a class and `splits` a split to the values that mean it; each also goes by its own name. Where classes are not
    `exclusive`, a label cell may name several (`pipeline.clips.labels`). Rows that cannot be used come back as faults.
    Of several group columns the first is used. With `text_fault` the label of every row whose text can be used is
    `SPEECH`, the others are faults, and what the label column says is but their stratum.

    Raises `TableError` where the table has no file (with `text_fault`: or no text) column, columns that contradict each
    other, or cannot be read; `VocabularyError` where the aliases clash.
    """
    names = {
        "column": aliases(columns, "column"),
        "label": aliases(classes, "class"),
        "split": aliases(splits, "split"),
    }
    needed = ("file",) if text_fault is None else ("file", "text")
    found = find_table(folder, names["column"], needed)
    path, content, notes = found.path, found.content, list(found.notes)
    if path is None or content is None:
        return Table(None, notes=found.notes)
    table = path.relative_to(folder).as_posix()
    header = Columns(table, content, folder, names, columns)
    places = header.places(needed)
    notes += header.notes
    told = places.pop("label", None) if text_fault is not None else None
    used = {*places.values(), told}
    unused = [header for index, header in enumerate(content.header) if index not in used and header.strip()]
    if unused:
        notes.append(f"{table}: columns not used: {', '.join(unused)}")
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
        role: _cell(record.cells[index], role) if index < len(record.cells) else "" for role, index in places.items()
    }
    file = cells["file"]
    if any(map(str.strip, record.cells[width:])):
        message = f"{len(record.cells)} cells under {width} columns; put cells that hold the delimiter into quotes"
        return RowFault(record.number, file, "malformed_row", message)
    if not file:
        return RowFault(record.number, "", "no_file_named", "the file cell is empty")
    for role, cell in cells.items():
        if role != "file" and (wrong := fault_of(cell)):  # of a file's name the hint says it
            return RowFault(record.number, file, "malformed_row", f"its {role} is {wrong}")
    try:
        label, *also = _labels(cells.get("label"), names["label"], exclusive) or (None,)
    except LabelError as error:
        return RowFault(record.number, file, error.code, str(error))
    split, value = None, cells.get("split")
    if value:
        split = meaning(value, names["split"])
        if split is None:
            message = f"unknown split {value!r}; allowed: {shown(names['split'])}"
            return RowFault(record.number, file, "unknown_split", message)
    said = {role: cells.get(role) or None for role in ("speaker", "text", "group")}
    return Row(record.number, file, **said, label=label, split=split, also=tuple(also))


def _cell(value: str, role: str) -> str:
    """A cell composed and stripped; a text keeps invisible letters, which some languages write with."""
    seen = visible(value).strip()
    return unicodedata.normalize("NFC", value.strip() if seen and role == "text" else seen)


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
    zero = meaning("0", names)
    if not exclusive and zero not in (None, REFERENCE_CLASS):  # then `1,0` is two defects, and no number
        cell = cell.replace(",", ";")
    return read_labels(cell, lambda name: meaning(name, names), classes, shown(names), exclusive=exclusive)

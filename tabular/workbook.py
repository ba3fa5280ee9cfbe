"""Workbooks (.xlsx) as people send them: several sheets, titles above the header, dates, merged and broken cells."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from typing import Any

from tabular.content import Content, ContentError, Record
from tabular.package import BROKEN, Sheet, check, unsafe
from tabular.spreadsheets import UNCALCULATED

# Where defusedxml is installed openpyxl reads through it, four times as slowly. It is there against entities, and
# `tabular.package` has refused them by then.
os.environ.setdefault("OPENPYXL_DEFUSEDXML", "False")
# openpyxl warns of what is no part of a table: styles, pictures, lists to choose from.
warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")

Recognised = Callable[[Sequence[str]], int]

_MOST_ROWS = 1_048_576  # of a sheet in Excel; a row that says a higher number would be waited for
_MOST_CELLS = 20_000_000
_MOST_CHARACTERS = 256 << 20  # cells may share one long text, so the unpacked size is no bound
_PROBED_ROWS = 20  # among which the header is looked for
_DIGITS = 15  # of a number that Excel keeps
_FEWEST = 2  # known columns of a sheet that is taken for the table


@dataclass(frozen=True)
class _Candidate:
    """A sheet, and how many known columns its header has."""

    title: str
    hidden: bool
    known: int
    sheet: Any


def parse_workbook(data: bytes, recognised: Recognised, called: Collection[str] = ()) -> Content:
    """Read a table of a workbook; records have the numbers of the sheet's rows.

    The sheet that is `called` so is read, else the first with at least two known columns, a hidden one last. The header
    is the row of the first twenty with the most known columns. Merged cells hold their value in each of their rows, a
    formula without a value is `UNCALCULATED`. Raises `ContentError`.
    """
    parts = check(data)
    try:
        return _parse(data, parts, recognised, called)
    except (ContentError, MemoryError):
        raise
    except Exception as error:  # openpyxl says in any way that a workbook is broken: KeyError, TypeError, ParseError, …
        said = " ".join(str(error.__cause__ or error).split())[:200]
        raise ContentError("broken", f"it is a broken workbook ({said}); {BROKEN}") from error


def _parse(data: bytes, parts: dict[str, Sheet], recognised: Recognised, called: Collection[str]) -> Content:
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        candidates = [_candidate(sheet, recognised) for sheet in book.worksheets]
        if not candidates:
            raise ContentError("broken", f"it is a workbook without a sheet; {BROKEN}")
        chosen = _chosen(candidates, {name.casefold() for name in called})
        part = parts.get(chosen.sheet._worksheet_path, Sheet())
        rows = dict(_rows(chosen.sheet, part.uncalculated))
        _fill(rows, part.merged)
    finally:
        book.close()
    if not rows:
        raise ContentError("empty", "it is empty; its first row must name the columns")
    header = _header(list(islice(rows.items(), _PROBED_ROWS)), recognised)
    width = max(map(len, rows.values()))
    titles = rows[header]
    below = (Record(number, cells) for number, cells in rows.items() if number > header)
    # A header whose cells are merged over two rows is in both; one that is printed on each page, on each.
    records = tuple(record for record in below if record.cells != titles)
    padded = titles + ("",) * (width - len(titles))
    return Content("xlsx", None, padded, records, _notes(candidates, chosen))


def _candidate(sheet: Any, recognised: Recognised) -> _Candidate:
    sheet.reset_dimensions()  # some programs write A1 whatever there is
    probed = list(islice(_rows(sheet), _PROBED_ROWS))
    known = max((recognised(cells) for _, cells in probed), default=0)
    return _Candidate(sheet.title, sheet.sheet_state != "visible", known, sheet)


def _chosen(candidates: list[_Candidate], called: set[str]) -> _Candidate:
    ordered = sorted(candidates, key=lambda one: one.hidden)  # in order otherwise
    named = [one for one in ordered if one.known and one.title.strip().casefold() in called]
    fitting = [one for one in ordered if one.known >= _FEWEST]
    return next(iter([*named, *fitting]), None) or max(ordered, key=lambda one: one.known)


def _notes(candidates: list[_Candidate], chosen: _Candidate) -> tuple[str, ...]:
    if len(candidates) == 1:
        return ()
    hidden = ", which is hidden" if chosen.hidden else ""
    others = [repr(one.title) for one in candidates if one.known >= _FEWEST and one is not chosen]
    more = f"; not read, though it has such columns too: {', '.join(others)}" if others else ""
    return (f"of {len(candidates)} sheets {chosen.title!r} is read{hidden}{more}",)


def _header(probed: list[tuple[int, tuple[str, ...]]], recognised: Recognised) -> int:
    """The number of the row that is the header: titles and remarks may stand above it."""
    return max(probed, key=lambda row: recognised(row[1]))[0]


def _rows(sheet: Any, uncalculated: Collection[str] = ()) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows that are not blank, with their numbers, without empty cells at their end."""
    from openpyxl.utils import get_column_letter

    cells = characters = 0
    gaps = {name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for name in uncalculated}
    for number, values in enumerate(sheet.iter_rows(max_row=_MOST_ROWS, values_only=True), 1):
        row = [_text(value) for value in values]
        if str(number) in gaps:
            for at, value in enumerate(values):
                if value is None and f"{get_column_letter(at + 1)}{number}" in uncalculated:
                    row[at] = UNCALCULATED
        while row and not row[-1].strip():
            row.pop()
        if not row:
            continue
        cells += len(row)
        characters += sum(map(len, row))
        if cells > _MOST_CELLS or characters > _MOST_CHARACTERS:
            raise unsafe("it holds more than a table does")
        yield number, tuple(row)


def _fill(rows: dict[int, tuple[str, ...]], merged: list[tuple[str, int, int]]) -> None:
    """Give each row under the first of merged cells their value. Cells of a column are merged once, as in Excel."""
    from openpyxl.utils import column_index_from_string

    filled: dict[str, int] = {}
    added = 0
    for column, first, last in sorted(merged):
        at = column_index_from_string(column) - 1
        values = rows.get(first, ())
        if at >= len(values) or first <= filled.get(column, 0):
            continue
        last = filled[column] = min(last, max(rows))
        for number in range(first + 1, last + 1):
            cells = rows.get(number)
            if cells is not None and not "".join(cells[at : at + 1]).strip():
                padded = [*cells, *[""] * (at + 1 - len(cells))]
                padded[at] = values[at]
                rows[number] = tuple(padded)
                added += len(padded) - len(cells)
        if added > _MOST_CELLS:
            raise unsafe("it holds more than a table does")


def _text(value: Any) -> str:
    """A cell as text, a number as a spreadsheet shows it: 1.0 is 1, a day has no time."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)

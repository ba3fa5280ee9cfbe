"""Results as CSV and XLSX, written as they are read. No cell is a formula, whatever a file was called."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from calls.results import Cell, FileRows, WindowRows
from calls.store import Store

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the last are theirs of full width
_EXCEL_ROWS = 1_048_576
_EXCEL_CELL = 32_767  # characters


def text_cell(value: str) -> str:
    """The text with an apostrophe before what a spreadsheet would compute."""
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value


def csv_lines(rows: FileRows | WindowRows) -> Iterator[str]:
    """The table's lines in UTF-8's order of things: a mark first, by which Excel knows the encoding."""
    yield "\ufeff" + _csv_line(rows.header)
    for row in rows:
        yield _csv_line(row)


def _csv_line(row: Iterable[Cell]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(
        [text_cell(value) if isinstance(value, str) else "" if value is None else value for value in row]
    )
    return buffer.getvalue()


def write_xlsx(store: Store, archive: str, path: Path) -> None:
    """A sheet of files and one of windows, or several where Excel's would be full. Raises OSError."""
    import xlsxwriter

    settings = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": True,
        "tmpdir": str(path.parent),
    }
    try:
        with xlsxwriter.Workbook(str(path), settings) as book:
            for name, rows in (("files", FileRows(store, archive)), ("windows", WindowRows(store, archive))):
                sheet, line = None, _EXCEL_ROWS
                count = 0
                for row in rows:
                    if line == _EXCEL_ROWS:
                        count += 1
                        sheet, line = book.add_worksheet(name if count == 1 else f"{name} {count}"), 1
                        _write(sheet, 0, rows.header)
                    _write(sheet, line, row)
                    line += 1
                if sheet is None:
                    _write(book.add_worksheet(name), 0, rows.header)
    except xlsxwriter.exceptions.FileCreateError as error:
        raise OSError(*error.args[0].args) if error.args and isinstance(error.args[0], OSError) else error from error


def _write(sheet: object, line: int, row: Iterable[Cell]) -> None:
    for column, value in enumerate(row):
        if isinstance(value, str):
            text = text_cell(value)
            text = text if len(text) <= _EXCEL_CELL else f"{text[: _EXCEL_CELL - 1]}…"
            sheet.write_string(line, column, text)  # type: ignore[attr-defined]
        elif isinstance(value, bool):
            sheet.write_boolean(line, column, value)  # type: ignore[attr-defined]
        elif value is not None:
            sheet.write_number(line, column, value)  # type: ignore[attr-defined]

"""Calls as CSV and XLSX. No cell is a formula, whatever a file was called."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence

import xlsxwriter

from web.calls.results import Call, defects_of
from web.calls.shares import day_of
from web.exports import cell
from web.language import text

Cell = str | float | None
_HEADS = ("file", "side", "operator", "day", "state", "reason", "seconds", "speech", "bundle")
_LONGEST = 32_000  # characters; Excel takes 32,767
_EXCEL_ROWS = 1_048_575


def csv_of(calls: Sequence[Call], language: str, name_of: Callable[[str], str]) -> bytes:
    """A line a call (a side of it), probabilities 0 to 1. `name_of` gives a defect's name for people."""
    made = io.StringIO()
    writer = csv.writer(made)
    for row in _rows(calls, language, name_of):
        writer.writerow(["" if value is None else value for value in row])
    return b"\xef\xbb\xbf" + made.getvalue().encode("utf-8", "replace")  # the mark by which spreadsheets know UTF-8


def xlsx_of(calls: Sequence[Call], language: str, name_of: Callable[[str], str]) -> bytes:
    """The same as a workbook."""
    made = io.BytesIO()
    safe = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(made, {**safe, "in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 1)
        sheet.set_column(0, 0, 40)
        for line, row in enumerate(_rows(calls[:_EXCEL_ROWS], language, name_of)):
            for column, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(line, column, value)
                elif value is not None:
                    sheet.write_number(line, column, value)
    return made.getvalue()


def _rows(calls: Sequence[Call], language: str, name_of: Callable[[str], str]) -> Iterator[list[Cell]]:
    defects = defects_of(calls)
    heads = [text(f"column_{name}", language) for name in _HEADS]
    for defect in defects:
        name = name_of(defect)
        heads += [name, text("export_verdict", language, name=name), text("column_share", language, name=name)]
    yield [_text(head) for head in heads]
    for call in calls:
        yield [_text(value) if isinstance(value, str) else value for value in _row(call, defects, language)]


def _row(call: Call, defects: list[str], language: str) -> list[Cell]:
    judged = call.state == "done"
    row: list[Cell] = [
        call.file, None if call.side is None else call.side + 1, call.who.operator, day_of(call),
        text(f"call_{call.state}", language), call.detail, round(call.seconds, 2) if judged else None,
        round(call.speech_seconds, 2) if judged else None, call.bundle,
    ]  # fmt: skip
    for defect in defects:
        told = call.assessed(defect)
        word = call.words.get(defect, "not_assessable") if defect in call.probabilities else None
        row += [None if told is None else round(told, 4), word and text(f"verdict_{word}", language)]
        row.append(None if told is None else round(call.shares[defect], 4))
    return row


def _text(value: str) -> str:
    # Lone halves of surrogates, which JSON can hold, are no text that a file takes.
    return cell(value.encode("utf-8", "replace").decode())[:_LONGEST]

"""Tables of operators as workbooks: read as texts are, and what cannot be used says why in both languages."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from tests.workbooks import packed, protected, workbook
from web.calls.people import TABLE_TYPES, TableError, Who, read_table
from web.language import LANGUAGES

THIRD = date(2026, 11, 3)
HEADER = ("Имя файла", "Сотрудник", "Дата")


def test_a_workbook_may_be_sent() -> None:
    assert "xlsx" in TABLE_TYPES


@pytest.mark.parametrize("day", [datetime(2026, 11, 3), datetime(2026, 11, 3, 14, 5, 6), 46329, 46329.58, "3.11.2026"])
def test_days_as_cells(day: Any) -> None:
    assert read_table(workbook([HEADER, ("1.mp3", "Вера", day)])) == {"1.mp3": Who("Вера", THIRD)}


def test_names_and_operators_as_numbers() -> None:
    book = workbook([HEADER, (79012345678.0, 12.0, None), ("C:\\calls\\2.mp3", True, "")])
    assert read_table(book) == {"79012345678": Who("12"), "C:/calls/2.mp3": Who("TRUE")}


def test_titles_above_the_header_and_a_sheet_of_help() -> None:
    rows = [("Calls of November",), (), HEADER, ("1.mp3", "Вера", "3.11.2026")]
    assert read_table(workbook([("how to", "fill it in")], rows)) == {"1.mp3": Who("Вера", THIRD)}


def test_an_operator_that_is_an_error_is_not_told() -> None:
    assert read_table(workbook([HEADER, ("1.mp3", "#N/A", "3.11.2026")])) == {"1.mp3": Who("", THIRD)}


@pytest.mark.parametrize(
    ("rows", "key", "line"),
    [
        ([(), HEADER, ("1.mp3", "Вера", "3.11.2026"), ("2.mp3", "Вера", "soon")], "table_day", 4),
        ([(), HEADER, (None, "Вера", "3.11.2026")], "table_row", 3),
        ([HEADER, ("1.mp3", '="Ве"&"ра"', "3.11.2026")], "table_formula", 2),
        ([HEADER, ("1.mp3", "Вера", "#VALUE!")], "table_day", 2),
    ],
)
def test_lines_have_the_sheets_row_numbers(rows: Any, key: str, line: int) -> None:
    with pytest.raises(TableError) as caught:
        read_table(workbook(rows))
    assert (caught.value.key, caught.value.values["line"]) == (key, line)
    assert all(str(line) in caught.value.message(language) for language in LANGUAGES)


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (protected(), "table_password"),
        (protected("Workbook"), "table_workbook"),
        (packed(["content.xml"]), "table_workbook"),
        (b"<html><table></table></html>", "table_workbook"),
        (workbook([HEADER])[:-30], "table_broken"),
        (b"", "table_columns"),
        (workbook([("фото", "имя"), ("1.mp3", "Вера")]), "table_columns"),
        (workbook([]), "table_columns"),
    ],
)
def test_what_cannot_be_used_says_why(data: bytes, key: str) -> None:
    with pytest.raises(TableError) as caught:
        read_table(data)
    assert caught.value.key == key
    assert len({caught.value.message(language) for language in LANGUAGES}) == len(LANGUAGES)


def test_a_bomb_says_what_to_send_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tabular.package._MOST_UNPACKED", 100)
    with pytest.raises(TableError, match="table_unsafe"):
        read_table(workbook([HEADER]))

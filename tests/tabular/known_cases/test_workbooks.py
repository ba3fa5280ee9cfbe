"""Workbooks as people send them: where the table is in them, and what their cells say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.chart import BarChart

from tabular.content import Content
from tabular.spreadsheets import UNCALCULATED
from tabular.tables import parse
from tests.workbooks import SHEET, part, with_parts, workbook

HEADER = ("file", "label", "speaker")
ROWS = [HEADER, ("a.mp3", "burr", "s1"), ("b.mp3", "none", "s2")]
BELOW = [("a.mp3", "burr", "s1"), ("b.mp3", "none", "s2")]


def read(book: bytes, *called: str) -> Content:
    def recognised(header: Sequence[str]) -> int:
        return sum(cell.strip() in HEADER for cell in header)

    return parse(book, recognised, called)


def cells(content: Content) -> list[tuple[str, ...]]:
    return [record.cells for record in content.records]


def test_a_plain_workbook() -> None:
    content = read(workbook(ROWS))
    assert (content.header, cells(content)) == (HEADER, BELOW)
    assert [record.number for record in content.records] == [2, 3]
    assert (content.encoding, content.delimiter, content.notes) == ("xlsx", None, ())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (79012345678.0, "79012345678"),
        (12345678901234567890.0, "1.23456789012346e+19"),
        (0.1 + 0.2, "0.3"),
        (7, "7"),
        (True, "TRUE"),
        (datetime(2026, 11, 3), "2026-11-03"),
        (date(2026, 11, 3), "2026-11-03"),
        (datetime(2026, 11, 3, 14, 5), "2026-11-03 14:05:00"),
        (time(14, 5), "14:05:00"),
        ("0001", "0001"),
        ("#N/A", "#N/A"),
        ("  Анна\nИ. ", "  Анна\nИ. "),
    ],
)
def test_what_a_cell_says(value: Any, text: str) -> None:
    assert cells(read(workbook([HEADER, ("a.mp3", "none", value)]))) == [("a.mp3", "none", text)]


def test_rows_have_the_sheets_numbers_below_titles_and_gaps() -> None:
    def move(book: Workbook) -> None:
        book.active.insert_rows(1, 3)
        book.active.insert_cols(1, 2)
        book.active["C2"] = "Calls of November"
        book.active.insert_rows(6)

    content = read(workbook(ROWS, change=move))
    assert content.header == ("", "", *HEADER)
    assert [(record.number, record.cells[2]) for record in content.records] == [(5, "a.mp3"), (7, "b.mp3")]


def test_a_size_that_is_wrong_hides_nothing() -> None:
    book = workbook(ROWS)
    sheet = part(book, SHEET).replace(b'ref="A1:C3"', b'ref="A1"')
    assert b'ref="A1"' in sheet
    assert cells(read(with_parts(book, {SHEET: sheet}))) == BELOW


OTHERS = [("how", "to fill it in"), ("file", "the recording's name")]


def test_of_several_sheets_the_first_with_the_columns_is_read_and_that_is_said() -> None:
    content = read(workbook(OTHERS, ROWS, titles=("Help", "Marks")))
    assert cells(content) == BELOW
    assert content.notes == ("of 2 sheets 'Marks' is read",)


def test_of_two_that_fit_the_other_is_named() -> None:
    content = read(workbook(ROWS[:2], ROWS))
    assert cells(content) == BELOW[:1]
    assert content.notes == ("of 2 sheets 'Sheet1' is read; not read, though it has such columns too: 'Sheet2'",)


@pytest.mark.parametrize("title", ["data_train", "Data_Train "])
def test_of_two_that_fit_the_one_that_is_called_like_the_table_is_read(title: str) -> None:
    assert cells(read(workbook(ROWS[:2], ROWS, titles=("old", title)), "data_train")) == BELOW


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_the_last_to_be_read(state: str) -> None:
    def hide(book: Workbook) -> None:
        book.worksheets[0].sheet_state = state

    assert cells(read(workbook(ROWS[:2], ROWS, change=hide))) == BELOW
    content = read(workbook(ROWS, OTHERS, change=hide))
    assert cells(content) == BELOW
    assert "'Sheet1' is read, which is hidden" in content.notes[0]


def test_a_sheet_with_a_chart_alone_is_none() -> None:
    def draw(book: Workbook) -> None:
        book.create_chartsheet("Picture", 0).add_chart(BarChart())

    assert cells(read(workbook(ROWS, change=draw))) == BELOW


def test_a_header_over_two_rows() -> None:
    def merge(book: Workbook) -> None:
        book.active.insert_rows(1)
        for cell in ("A1", "A2"):
            book.active[cell] = "file" if cell == "A1" else None
        book.active["B1"] = "said"
        book.active.merge_cells("A1:A2")
        book.active.merge_cells("B1:C1")

    content = read(workbook(ROWS, change=merge))
    assert (content.header, cells(content)) == (HEADER, BELOW)


def test_a_header_that_is_merged_as_a_whole_is_no_record() -> None:
    def merge(book: Workbook) -> None:
        book.active.insert_rows(2)
        for column in "ABC":
            book.active.merge_cells(f"{column}1:{column}2")

    assert cells(read(workbook(ROWS, change=merge))) == BELOW


def test_a_header_that_is_merged_over_two_columns_names_one() -> None:
    def merge(book: Workbook) -> None:
        book.active.insert_cols(2)
        book.active["B2"] = "folder"
        book.active.merge_cells("A1:B1")

    content = read(workbook(ROWS, change=merge))
    assert content.header == ("file", "", "label", "speaker")
    assert content.records[0].cells == ("a.mp3", "folder", "burr", "s1")


def test_merged_cells_say_the_same_in_each_of_their_rows() -> None:
    rows = [HEADER, ("a.mp3", "burr", "s1"), ("b.mp3", "none"), ("c.mp3", "none"), ("d.mp3", "none")]

    def merge(book: Workbook) -> None:
        book.active.merge_cells("C2:C4")

    found = cells(read(workbook(rows, change=merge)))
    assert [row[2:] for row in found] == [("s1",), ("s1",), ("s1",), ()]


def test_a_formula_without_a_value_is_no_empty_cell() -> None:
    book = workbook([HEADER, ("a.mp3", "none", '="s"&1'), ("b.mp3", "none", None)])
    assert cells(read(book)) == [("a.mp3", "none", UNCALCULATED), ("b.mp3", "none")]
    calculated = (
        part(book, SHEET).replace(b"<v />", b"<v>5</v>").replace(b"<v/>", b"<v>5</v>").replace(b"<v></v>", b"<v>5</v>")
    )
    assert cells(read(with_parts(book, {SHEET: calculated})))[0] == ("a.mp3", "none", "5")


def test_a_cell_beyond_the_header_is_kept_and_the_header_is_as_wide() -> None:
    content = read(workbook([HEADER, (*BELOW[0], "a remark")]))
    assert content.header == (*HEADER, "")


@pytest.mark.parametrize("book", [workbook([]), workbook([], [])])
def test_an_empty_workbook(book: bytes) -> None:
    with pytest.raises(ValueError, match="it is empty"):
        read(book)


def test_text_is_read_as_text_whatever_it_is_called() -> None:
    content = read(b"file;label;speaker\na.mp3;burr;s1\n")
    assert (content.encoding, content.delimiter, content.header) == ("utf-8", ";", HEADER)

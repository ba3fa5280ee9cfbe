"""Workbooks that are not read, are broken or hostile: each says why and what to do, before memory is spent."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
import xlsxwriter

from tabular.content import ContentError
from tabular.tables import parse
from tests.workbooks import SHEET, packed, part, protected, with_parts, workbook

BOOK = workbook([("file", "label"), ("a.mp3", "burr")])
STRINGS = "xl/sharedStrings.xml"
NAMESPACE = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def refused(data: bytes) -> ContentError:
    with pytest.raises(ContentError) as caught:
        parse(data, lambda header: sum(cell in ("file", "label") for cell in header))
    return caught.value


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (protected(), "password", "with a password; save it without one"),
        (protected("Workbook"), "spreadsheet", r"Excel 97-2003 \(.xls\); save it as .xlsx or as CSV"),
        (packed(["mimetype", "content.xml"]), "spreadsheet", r"OpenDocument file \(.ods\); save it as .xlsx"),
        (packed(["[Content_Types].xml", "xl/workbook.bin"]), "spreadsheet", r"\(.xlsb\); save it as .xlsx"),
        (packed(["Index/Document.iwa"]), "spreadsheet", "Numbers document; save it as .xlsx"),
        (packed(["[Content_Types].xml", "word/document.xml"]), "spreadsheet", "Word document"),
        (b"<html><table><tr><td>file</td></tr></table></html>", "spreadsheet", "web page and no workbook"),
        (b"\xef\xbb\xbf <?xml version='1.0'?><Workbook/>", "spreadsheet", "web page and no workbook"),
        (packed(["a.csv"]), "broken", "broken workbook .*save it as .xlsx"),
        (packed([]), "broken", "broken workbook"),
        (BOOK[:-100], "broken", "broken workbook"),
        (BOOK[: len(BOOK) // 2], "broken", "broken workbook"),
        (b"PK\x03\x04", "broken", "broken workbook"),
        (with_parts(BOOK, {SHEET: b"<worksheet"}), "broken", "broken workbook"),
        (with_parts(BOOK, {STRINGS: b"", SHEET: b""}), "broken", "broken workbook"),
        (with_parts(BOOK, {"xl/styles.xml": b"<x/>"}, zipfile.ZIP_BZIP2), "broken", "as no spreadsheet program does"),
        (b"", "empty", "it is empty"),
    ],
)
def test_what_is_not_read_says_what_it_is(data: bytes, code: str, told: str) -> None:
    error = refused(data)
    assert error.code == code
    assert re.search(told, str(error))


def test_strict_open_xml_is_named() -> None:
    strict = part(BOOK, "xl/workbook.xml").replace(NAMESPACE, b"http://purl.oclc.org/ooxml/spreadsheetml/main")
    assert "Strict Open XML" in str(refused(with_parts(BOOK, {"xl/workbook.xml": strict})))


def test_an_entry_with_a_password() -> None:
    marked = bytearray(BOOK)
    at = BOOK.index(b"PK\x01\x02")
    marked[at + 8] |= 1
    assert refused(bytes(marked)).code == "password"


def sheet(inner: bytes) -> bytes:
    return b'<worksheet xmlns="' + NAMESPACE + b'"><sheetData>' + inner + b"</sheetData></worksheet>"


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "' + b"ha" * 50 + b'"><!ENTITY b "' + b"&a;" * 50 + b'">]>'


@pytest.mark.parametrize(
    "parts",
    [
        {SHEET: sheet(b" " * (2 << 20))},
        {SHEET: sheet(b"<row>" + b"<c/>" * 3000 + b"</row>")},
        {SHEET: sheet(b"<row/>" * 3000)},
        {STRINGS: b"<sst>" + b"<si/>" * 3000 + b"</sst>"},
        {"xl/styles.xml": b"<styleSheet>" + b"<font/>" * 3000 + b"</styleSheet>"},
        {SHEET: LAUGHS + sheet(b"<row><c t='inlineStr'><is><t>&b;</t></is></c></row>")},
        {SHEET: (LAUGHS + sheet(b"")).decode().encode("utf-16")},
        {"docProps/core.xml": LAUGHS + b"<coreProperties>&b;</coreProperties>"},
        {f"xl/media/{number}": b"" for number in range(200)},
        {"xl/workbook.xml": b"<workbook>" + b"<x:sheet xmlns:x='x'/>" * 300 + b"</workbook>"},
    ],
    ids=["bytes", "cells", "rows", "strings", "styles", "entities", "UTF-16", "properties", "files", "sheets"],
)
def test_a_bomb_is_refused_before_it_is_opened(parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr("openpyxl.load_workbook", opened)
    for name, most in {"UNPACKED": 1 << 20, "ELEMENTS": 2000, "RECORDS": 2000, "ENTRIES": 100}.items():
        monkeypatch.setattr(f"tabular.package._MOST_{name}", most)
    error = refused(with_parts(BOOK, parts))
    assert error.code == "unsafe"
    assert "save its table alone as CSV" in str(error)


def test_a_row_of_a_high_number_is_not_waited_for() -> None:
    far = sheet(b'<row r="999999999999"><c t="inlineStr"><is><t>file</t></is></c></row>')
    assert refused(with_parts(BOOK, {SHEET: far})).code == "empty"


def test_one_long_text_that_many_cells_share() -> None:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made) as book:  # it keeps texts apart from the cells, as Excel does
        book.add_worksheet().write_string("A1", "file")
    text = b'<sst xmlns="' + NAMESPACE + b'"><si><t>' + b"x" * (1 << 20) + b"</t></si></sst>"
    rows = sheet(b'<row><c t="s"><v>0</v></c></row>' * 400)
    assert refused(with_parts(made.getvalue(), {STRINGS: text, SHEET: rows})).code == "unsafe"

"""An archive's table as a workbook: taken where a text would be, and its rows named by the sheet's numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from pipeline.clips.contents import Examined, Source, Vocabulary, examine
from tests.workbooks import packed, protected, workbook

HEADER = ("file", "label", "speaker")
ROWS = [HEADER, *((f"{number:04}.wav", "burr", f"s{number}") for number in range(4))]

Examine = Callable[[dict[str, bytes]], Examined]


@pytest.fixture
def examined(tmp_path: Path, vocabulary: Vocabulary) -> Examine:
    """What is found in an unpacked archive of four recordings with these files."""

    def examine_it(files: dict[str, bytes]) -> Examined:
        for name, _, _ in ROWS[1:]:
            files = {f"data_mp3/train/{name}": b"sound", **files}
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        return examine(Source("mine", tmp_path), vocabulary)

    return examine_it


def labelled(found: Examined) -> int:
    return sum(one.label is not None for one in found.candidates)


def notes(found: Examined) -> str:
    return "\n".join(found.notes)


@pytest.mark.parametrize(
    "name",
    ["data_train.xlsx", "labels.XLSX", "data_mp3/train/разметка.xlsm", "deep/folder/x.xlsx", "data_train.csv", "a.csv"],
)
def test_a_workbook_of_any_name_is_the_table(examined: Examine, name: str) -> None:
    found = examined({name: workbook(ROWS)})
    assert (labelled(found), found.findings.table, found.findings.encoding) == (4, name, "xlsx")
    assert [one.row for one in found.candidates] == [2, 3, 4, 5]


@pytest.mark.parametrize("name", ["data_train.xlsx", "labels.xls"])
def test_a_text_that_is_called_a_workbook_is_a_text(examined: Examine, name: str) -> None:
    text = "".join(";".join(row) + "\n" for row in ROWS).encode("cp1251")
    found = examined({name: text})
    assert (labelled(found), found.findings.delimiter) == (4, ";")


def test_of_a_workbook_and_a_text_of_one_name_the_text_is_read(examined: Examine) -> None:
    text = "".join(",".join(row) + "\n" for row in ROWS).encode()
    found = examined({"labels.csv": text, "labels.xlsx": workbook(ROWS)})
    assert (labelled(found), found.findings.table) == (4, "labels.csv")


def test_which_sheet_is_read_is_said(examined: Examine) -> None:
    found = examined({"labels.xlsx": workbook([("read", "me")], ROWS, titles=("Help", "Разметка"))})
    assert "labels.xlsx: of 2 sheets 'Разметка' is read" in notes(found)


def test_a_sheet_that_is_called_like_the_file_is_the_table(examined: Examine) -> None:
    book = workbook(ROWS[:2], ROWS, titles=("old", "Метки"))
    assert labelled(examined({"метки.xlsx": book})) == 4


def faults(found: Examined) -> list[tuple[int | None, str, str]]:
    return [(fault.row, fault.code, fault.message) for fault in found.faults]


def test_faults_have_the_sheets_row_numbers(examined: Examine) -> None:
    def move(book: Workbook) -> None:
        book.active.insert_rows(1, 4)
        book.active["A2"] = "Marks of November"

    rows = [HEADER, ("0000.wav", "burr", "s"), (), ("0001.wav", "humming", "s")]
    ((row, code, _),) = faults(examined({"labels.xlsx": workbook(rows, change=move)}))
    assert (row, code) == (8, "unknown_label")


@pytest.mark.parametrize("name", [1.0, 1])
def test_a_name_that_became_a_number_gets_the_hint(examined: Examine, name: Any) -> None:
    ((row, code, message),) = faults(examined({"labels.xlsx": workbook([HEADER, (name, "burr", "s")])}))
    assert (row, code) == (2, "no_audio")
    assert "a spreadsheet seems to have made a number of the name 0001" in message


@pytest.mark.parametrize(
    ("row", "code", "told"),
    [
        (("0001.wav", "burr", "#N/A"), "malformed_row", "its speaker is a spreadsheet's error, #N/A; mend the cell"),
        (("0001.wav", "#REF!", "s"), "malformed_row", "its label is a spreadsheet's error"),
        (("0001.wav", "burr", '="s"&1'), "malformed_row", "its speaker is a formula whose value .* save it"),
        (('="0001"&".wav"', "burr", "s"), "no_audio", "a formula whose value the workbook does not hold"),
        (("#NAME?", "burr", "s"), "no_audio", "a spreadsheet's error"),
    ],
)
def test_errors_and_formulas_are_named_with_row_and_remedy(examined: Examine, row: Any, code: str, told: str) -> None:
    (fault,) = examined({"labels.xlsx": workbook([HEADER, row])}).faults
    assert (fault.row, fault.code) == (2, code)
    assert re.search(told, fault.message)


def test_an_error_in_a_column_that_is_not_used_costs_nothing(examined: Examine) -> None:
    rows = [(*HEADER, "sum"), *((*row, "#DIV/0!") for row in ROWS[1:])]
    assert faults(examined({"labels.xlsx": workbook(rows)})) == []


def test_a_label_as_a_decimal_number_and_a_speaker_as_a_number(examined: Examine) -> None:
    found = examined({"labels.xlsx": workbook([HEADER, ("0001.wav", 1.0, 7.0)])})
    assert [(one.label, one.speaker) for one in found.candidates if one.row] == [("burr", "7")]


def test_a_speaker_whose_cells_are_merged_speaks_in_each_row(examined: Examine) -> None:
    def merge(book: Workbook) -> None:
        book.active.merge_cells("C2:C5")

    found = examined({"labels.xlsx": workbook(ROWS, change=merge)})
    assert {one.speaker for one in found.candidates} == {"s0"}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("labels.xlsx", protected(), "workbook labels.xlsx is not read: it is a workbook with a password"),
        ("labels.xls", protected("Workbook"), r"labels.xls is not read: .*Excel 97-2003 \(.xls\); save it as .xlsx"),
        ("labels.ods", packed(["content.xml"]), r"labels.ods is not read: .*\(.ods\); save it as .xlsx or as CSV"),
        ("labels.xlsx", workbook(ROWS)[:-50], "labels.xlsx is not read: it is a broken workbook"),
        ("labels.xlsx", b"", "labels.xlsx is not read: it is empty"),
        ("labels.xlsx", workbook([("one", "two")]), "to use the workbook labels.xlsx name a file column"),
    ],
)
def test_a_workbook_that_cannot_be_used_is_named_with_the_remedy(
    examined: Examine, name: str, content: bytes, told: str
) -> None:
    found = examined({name: content})
    assert labelled(found) == 0
    assert re.search(told, notes(found))


def test_the_table_of_the_contract_as_a_broken_workbook(examined: Examine) -> None:
    ((row, code, message),) = faults(examined({"data_train.csv": protected()}))
    assert (row, code) == (None, "bad_table")
    assert message.startswith("data_train.csv: it is a workbook with a password; save it without one")


@pytest.mark.parametrize("name", ["labels.csv", "labels.xlsx", "data_train.csv"])
def test_a_table_is_read_once(examined: Examine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read_bytes, read = Path.read_bytes, []

    def counted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    content = workbook(ROWS) if name.endswith("xlsx") else "".join(",".join(row) + "\n" for row in ROWS).encode()
    assert labelled(examined({name: content})) == 4
    assert read.count(name) == 1

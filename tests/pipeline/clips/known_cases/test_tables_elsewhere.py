"""Tables of another name, at another place, or of another kind are taken, or it is said what to do with them."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter

from pipeline.archive.unpacking import UnpackLimits, unpack
from pipeline.clips.contents import Source, Vocabulary, examine
from pipeline.clips.dataset import build_clips
from pipeline.clips.settings import ClipSettings
from pipeline.clips.verdict import NothingToTrainError
from tests.workbooks import protected

ROWS = [(f"{number}.wav", "burr", f"s{number}") for number in range(4)]


def table(delimiter: str = ",", header: tuple[str, ...] = ("file", "label", "speaker")) -> bytes:
    return "".join(delimiter.join(line) + "\n" for line in [header, *ROWS]).encode()


def workbook() -> bytes:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made) as book:
        sheet = book.add_worksheet()
        for number, line in enumerate([("file", "label", "speaker"), *ROWS]):
            sheet.write_row(number, 0, line)
    return made.getvalue()


@pytest.fixture
def examined(tmp_path: Path, vocabulary: Vocabulary) -> Callable[[dict[str, bytes]], tuple[int, str]]:
    """How many recordings of an archive with these files have labels, and the remarks."""

    def examine_it(files: dict[str, bytes]) -> tuple[int, str]:
        found = examine(Source("mine", unpacked(tmp_path, files)), vocabulary)
        return sum(one.label is not None for one in found.candidates), "\n".join(found.notes)

    return examine_it


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(folder / "mine.zip", "w") as zipped:
        for name, _, _ in ROWS:
            zipped.writestr(f"set/data_mp3/train/{name}", b"sound")
        for name, content in files.items():
            zipped.writestr(name, content)
    shutil.rmtree(folder / "out", ignore_errors=True)
    unpack(folder / "mine.zip", folder / "out", UnpackLimits(), print)
    return folder / "out"


Examine = Callable[[dict[str, bytes]], tuple[int, str]]


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("set/labels.csv", ","),
        ("set/data_train.tsv", "\t"),
        ("set/data_train (1).csv", ";"),
        ("set/data_train.csv.txt", ","),
        ("set/data_mp3/train/metadata.csv", ","),
        ("set/tables/data_train.csv", ","),
        ("разметка.txt", "\t"),
        ("LABELS.TXT", "\t"),
    ],
)
def test_the_one_table_there_is_is_taken_and_that_is_said(examined: Examine, name: str, delimiter: str) -> None:
    labelled, notes = examined({name: table(delimiter), "set/notes.txt": b"read me, please\n"})
    assert labelled == len(ROWS)
    assert f"its table is {name.removeprefix('set/') if 'data_mp3' in name else name}" in notes


@pytest.mark.parametrize("name", ["set/data_train.xlsx", "labels.xlsx", "set/data_mp3/labels.xls", "data_train.xlsm"])
def test_a_workbook_is_taken_too(examined: Examine, name: str) -> None:
    labelled, notes = examined({name: workbook()})
    assert labelled == len(ROWS)
    assert f"its table is {name.removeprefix('set/') if 'data_mp3' in name else name}" in notes


@pytest.mark.parametrize("name", ["set/data_train.xls", "labels.xls", "set/data_mp3/labels.xls", "data_train.xlsx"])
def test_a_workbook_of_another_kind_is_named_with_the_remedy(examined: Examine, name: str) -> None:
    labelled, notes = examined({name: protected("Workbook")})
    assert labelled == 0
    assert "save it as .xlsx or as CSV" in notes
    assert name.rpartition("/")[2] in notes


def test_of_several_tables_none_is_guessed_and_all_are_named(examined: Examine) -> None:
    labelled, notes = examined({"set/one.csv": table(), "set/two.csv": table()})
    assert labelled == 0
    assert "several could be it: set/one.csv, set/two.csv; rename the right one to data_train.csv" in notes


def test_of_several_tables_the_one_with_labels_or_with_the_name_is_taken(examined: Examine) -> None:
    texts = table(header=("file", "text", "speaker"))
    assert "its table is set/one.csv" in examined({"set/one.csv": table(), "set/two.csv": texts})[1]
    assert "its table is set/data_train.tsv" in examined({"set/data_train.tsv": table("\t"), "set/two.csv": table()})[1]


def test_a_run_that_needs_labels_says_what_to_do_with_the_workbook(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (tmp_path / "clips").mkdir()
    with pytest.raises(NothingToTrainError, match=r"workbook set/data_train\.xlsx is not read: .* password"):
        build_clips(
            [Source("mine", unpacked(tmp_path, {"set/data_train.xlsx": protected()}))],
            tmp_path / "clips",
            vocabulary=vocabulary,
            language="ru",
            settings=ClipSettings(),
            registry=tmp_path / "registry.json",
        )


def test_the_table_of_the_contract_comes_first_and_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        for name in ("data_train.csv", "labels.csv", "labels.xlsx", "data_mp3/train/a.mp3"):
            zipped.writestr(name, b"x")
    unpack(tmp_path / "a.zip", tmp_path / "out", UnpackLimits(), print)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["data_mp3", "data_train.csv"]

"""Cells with what nobody sees, labels as decimal numbers, columns that compete for one role."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.clips.contents import Vocabulary
from pipeline.clips.errors import TableError
from pipeline.clips.table import Table, read_table

Read = Callable[..., Table]


@pytest.fixture
def read(tmp_path: Path, vocabulary: Vocabulary) -> Read:
    def make(text: str, *files: str, exclusive: bool = True, classes: dict[str, list[str]] | None = None) -> Table:
        for file in files:
            path = tmp_path / "data_mp3/train" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"sound")
        (tmp_path / "data_train.csv").write_text(text, encoding="utf-8")
        return read_table(
            tmp_path,
            {**vocabulary.columns, "file": ["path", "id", "name"], "speaker": ["client_id", "user"]},
            classes or vocabulary.classes,
            vocabulary.splits,
            exclusive=exclusive,
        )

    return make


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u2060", "\u200e", "\u00ad"])
def test_what_nobody_sees_is_no_part_of_a_name(read: Read, mark: str) -> None:
    table = read(f"\ufeff{mark}file,la{mark}bel,speaker\na.wav{mark},{mark}burr,Ан{mark}на\n")
    assert [(row.file, row.label, row.speaker) for row in table.rows] == [("a.wav", "burr", "Анна")]


def test_an_empty_cell_stays_one_whatever_invisible_is_in_it(read: Read) -> None:
    (row,) = read("file,label,speaker,text\na.wav,\u200b,\ufeff, \u200b\n").rows
    assert (row.label, row.speaker, row.text) == (None, None, None)


@pytest.mark.parametrize("label", ["1,0", "1.0", "1,00", "1\u200b,0"])
def test_a_label_as_a_decimal_number(read: Read, label: str) -> None:
    assert read(f'file;label\na.wav;"{label}"\n').rows[0].label == "burr"
    assert read(f"file;label\na.wav;{label}\n", exclusive=False).rows[0].label == "burr"


def test_two_numbered_defects_are_no_decimal_number(read: Read) -> None:
    classes = {"none": [], "burr": ["0"], "stutter": ["1"]}
    (row,) = read("file;label\na.wav;1,0\n", exclusive=False, classes=classes).rows
    assert (row.label, row.also) == ("burr", ("stutter",))


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("id,path,label\n17,clips/a.wav,burr\n18,clips/b.wav,none\n", "clips/a.wav"),
        ("path,id,label\nclips/a.wav,a,burr\nclips/b.wav,b,none\n", "clips/a.wav"),
        ("name,file,label\nАнна,a.wav,burr\nБорис,b.wav,none\n", "a.wav"),
        ("file,name,label\nАнна,a.wav,burr\nБорис,b.wav,none\n", "a.wav"),
        ("file,path,label\n,a.wav,burr\n,b.wav,none\n", "a.wav"),
        ("file,file,label\na.wav,a.wav,burr\nb.wav,b.wav,none\n", "a.wav"),
    ],
)
def test_of_two_file_columns_the_one_that_names_recordings_is_read(read: Read, text: str, file: str) -> None:
    table = read(text, "a.wav", "b.wav")
    assert table.rows[0].file == file
    assert any("both mean file" in note for note in table.notes)


def test_two_file_columns_that_name_different_recordings_are_named_with_the_row(read: Read) -> None:
    with pytest.raises(TableError, match=r"'id' and 'path' both mean file, and row 3 says two things"):
        read("id,path,label\na,a.wav,burr\na,b.wav,none\n", "a.wav", "b.wav")


@pytest.mark.parametrize(
    ("header", "first", "second", "value"),
    [
        ("label,class", "burr,1", "none,0", "burr"),
        ("class,label", "A,burr", "B,none", "burr"),
        ("label,class", ",burr", ",none", "burr"),
    ],
)
def test_two_label_columns(read: Read, header: str, first: str, second: str, value: str) -> None:
    assert read(f"file,{header}\na.wav,{first}\nb.wav,{second}\n").rows[0].label == value


def test_labels_that_disagree_are_named(read: Read) -> None:
    with pytest.raises(TableError, match=r"'label' and 'class' both mean label, and row 2 says two things"):
        read("file,label,class\na.wav,burr,none\n")


def test_a_speakers_number_and_name_are_one_person(read: Read) -> None:
    table = read("file,client_id,user\na.wav,7,Анна\nb.wav,8,Борис\nc.wav,7,анна\n")
    assert [row.speaker for row in table.rows] == ["7", "8", "7"]
    with pytest.raises(TableError, match="both mean speaker, and row 3"):
        read("file,client_id,user\na.wav,7,Анна\nb.wav,7,Борис\n")

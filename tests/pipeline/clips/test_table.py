"""The archive's table: names through aliases, and every row that cannot be used named with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.clips.contents import Vocabulary
from pipeline.clips.table import Row, Table, TableError, VocabularyError, read_table


def read(
    folder: Path, text: str, vocabulary: Vocabulary, encoding: str = "utf-8", name: str = "data_train.csv"
) -> Table:
    (folder / name).write_bytes(text.encode(encoding))
    return read_table(folder, vocabulary.columns, vocabulary.classes, vocabulary.splits)


def test_all_columns(tmp_path: Path, vocabulary: Vocabulary) -> None:
    text = "Файл;Диагноз;Диктор;Текст;Выборка;Группа\nа.mp3;Картавость;Анна; Рыба ;тест;дети\n"
    table = read(tmp_path, text, vocabulary, "cp1251")
    assert table.rows == (Row(2, "а.mp3", "burr", "Анна", "Рыба", "test", "дети"),)
    assert not table.faults
    assert (table.encoding, table.delimiter) == ("cp1251", ";")
    assert table.columns is not None
    assert table.columns["label"] == "Диагноз"


@pytest.mark.parametrize("value", ["burr", " BURR ", "1", "1.0", "R", "картавость"])
def test_labels_by_name_number_and_alias(tmp_path: Path, vocabulary: Vocabulary, value: str) -> None:
    assert read(tmp_path, f"file,label\na.wav,{value}\n", vocabulary).rows[0].label == "burr"


def test_yo_and_case_do_not_tell_names_apart(tmp_path: Path, vocabulary: Vocabulary) -> None:
    assert read(tmp_path, "file,label\na.wav,ТЕМНАЯ\n", vocabulary).rows[0].label == "stutter"


def test_the_class_none_is_a_label_and_an_empty_cell_is_not(tmp_path: Path, vocabulary: Vocabulary) -> None:
    rows = read(tmp_path, "file,label\na.wav,None\nb.wav,\nc.wav\n", vocabulary).rows
    assert [row.label for row in rows] == ["none", None, None]


@pytest.mark.parametrize("value", ["nan", "bur", "4", "1.5"])
def test_an_unknown_label_names_row_value_and_allowed_values(
    tmp_path: Path, vocabulary: Vocabulary, value: str
) -> None:
    table = read(tmp_path, f"file,label\na.wav,none\nb.wav,{value}\n", vocabulary)
    assert len(table.rows) == 1
    (fault,) = table.faults
    assert (fault.line, fault.file, fault.code) == (3, "b.wav", "unknown_label")
    assert repr(value) in fault.message
    for name in ("none", "burr", "картавость", "fricative_g", "stutter"):
        assert name in fault.message


def test_an_unknown_split_is_a_fault(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (fault,) = read(tmp_path, "file,split\na.wav,holdout\n", vocabulary).faults
    assert fault.code == "unknown_split"
    assert "validation (valid, dev)" in fault.message


def test_no_file_column_names_header_and_aliases(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(TableError, match=r"'audio', 'label'.* file, path, filename, файл") as caught:
        read(tmp_path, "audio,label\na.wav,none\nb.wav,none\n", vocabulary)
    assert caught.value.rows == 2


def test_two_columns_for_one_role(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(TableError, match="'path' and 'filename' both mean file"):
        read(tmp_path, "path,filename\na.wav,a.wav\n", vocabulary)


def test_of_several_group_columns_the_first_is_used(tmp_path: Path, vocabulary: Vocabulary) -> None:
    table = read(tmp_path, "file,группа,group\na.wav,child,female\n", vocabulary)
    assert table.rows[0].group == "child"
    assert "columns not used: group" in table.notes[0]


def test_columns_that_are_not_used_are_said(tmp_path: Path, vocabulary: Vocabulary) -> None:
    assert "age, city" in read(tmp_path, "file,age,city\na.wav,7,Omsk\n", vocabulary).notes[0]


def test_more_cells_than_columns(tmp_path: Path, vocabulary: Vocabulary) -> None:
    table = read(tmp_path, "file,text\na.wav,well, yes\nb.wav,fine,,\n", vocabulary)
    assert [row.file for row in table.rows] == ["b.wav"]
    assert (table.faults[0].line, table.faults[0].code) == (2, "malformed_row")


def test_a_row_without_a_file(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (fault,) = read(tmp_path, "file,label\n,none\n", vocabulary).faults
    assert (fault.line, fault.code) == (2, "no_file_named")


def test_quotes_that_do_not_match(tmp_path: Path, vocabulary: Vocabulary) -> None:
    table = read(tmp_path, 'file,text\na.wav,"so" he said\nb.wav,yes\n', vocabulary)
    assert [row.file for row in table.rows] == ["b.wav"]
    assert "double inner quotes" in table.faults[0].message


def test_unreadable_text_is_a_table_error_that_counts_its_rows(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(TableError, match=r"data_train\.csv: .*never closes") as caught:
        read(tmp_path, 'file\na.wav\n"b.wav\n', vocabulary)
    assert caught.value.rows == 3


def test_no_table_is_an_archive_for_pretraining(tmp_path: Path, vocabulary: Vocabulary) -> None:
    table = read(tmp_path, "file\na.wav\n", vocabulary, name="labels.csv")
    assert table.path is None
    assert not table.rows
    assert "pretraining" in table.notes[0]
    assert "rename" in table.notes[0]


def test_the_tables_name_in_any_case(tmp_path: Path, vocabulary: Vocabulary) -> None:
    assert len(read(tmp_path, "file\na.wav\n", vocabulary, name="Data_Train.CSV").rows) == 1


def test_aliases_that_contradict_each_other(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (tmp_path / "data_train.csv").write_text("file\na.wav\n")
    with pytest.raises(VocabularyError, match="'R' stands for two class names, burr and other"):
        read_table(tmp_path, vocabulary.columns, {**vocabulary.classes, "other": ["R"]}, vocabulary.splits)

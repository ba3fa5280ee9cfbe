"""Names of recordings as tables of other computers and spreadsheets hold them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.clips.contents import Examined, Source, Vocabulary, examine
from pipeline.clips.matching import AudioIndex, MatchError

FILES = (
    "data_mp3/train/anna/0001.mp3",
    "data_mp3/train/anna/Мой файл.mp3",
    "data_mp3/train/bob/0001.mp3",
    "data_mp3/train/79012345678.mp3",
    "data_mp3/train/12345678901234567890.mp3",
    "data_mp3/test/eve/7.mp3",
)


@pytest.fixture
def files(tmp_path: Path) -> AudioIndex:
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"sound")
    return AudioIndex(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("C:\\Users\\eve\\anna\\0001.mp3", FILES[0]),
        ("C:\\Users\\eve\\train\\anna\\0001.mp3", FILES[0]),
        ("D:79012345678.mp3", FILES[3]),
        ("\\\\server\\share\\data_mp3\\train\\bob\\0001.mp3", FILES[2]),
        ("/content/drive/MyDrive/train/train/bob/0001.wav", FILES[2]),
        ("../../data_mp3/test/eve/7.mp3", FILES[5]),
        ("../bob/0001.mp3", FILES[2]),
        ("data_mp3/test/../train/anna/0001", FILES[0]),
        ("file:///C:/my/anna/%D0%9C%D0%BE%D0%B9%20%D1%84%D0%B0%D0%B9%D0%BB.mp3", FILES[1]),
        ("\u202aC:\\my\\Мой\u00a0файл.mp3", FILES[1]),
    ],
)
def test_the_longest_end_of_a_path_of_another_computer(files: AudioIndex, name: str, file: str) -> None:
    assert files.find(name).path == file


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("C:\\my\\0001.mp3", "ambiguous_audio"),
        ("/home/u/test/anna/0001.mp3", "no_audio"),  # the archive's test has no anna
        ("/home/u/eve/79012345678.mp3", "no_audio"),
        ("/home/u/anna/0002.mp3", "no_audio"),
    ],
)
def test_what_the_folders_contradict_is_not_guessed(files: AudioIndex, name: str, code: str) -> None:
    with pytest.raises(MatchError) as caught:
        files.find(name)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("1", "0001"),
        ("1.0", "0001"),
        ("1,0", "0001"),
        ("1.mp3", "0001"),
        ("1.0.mp3", "0001"),
        ("7,9E+10", "79012345678"),
        ("7.90123E+10", "79012345678"),
        ("7.9012345678e10.mp3", "79012345678"),
        ("79 012 345 678", "79012345678"),
        ("12345678901234500000", "12345678901234567890"),
        ("1,23457E+19", "12345678901234567890"),
        ("8,1E+10", "shortened"),
        ("02.янв", "a date"),
        ("3-Feb", "a date"),
        ("#NAME?", "error"),
    ],
)
def test_a_name_that_a_spreadsheet_changed_gets_a_hint(files: AudioIndex, name: str, meant: str) -> None:
    with pytest.raises(MatchError, match=f"spreadsheet.*{meant}|{meant}.*spreadsheet") as caught:
        files.find(name)
    assert "as text" in str(caught.value)


@pytest.mark.parametrize("name", ["17", "anna", "2.0", "17.mp3", "record_1"])
def test_a_name_that_is_merely_missing_gets_none(files: AudioIndex, name: str) -> None:
    with pytest.raises(MatchError) as caught:
        files.find(name)
    assert "spreadsheet" not in str(caught.value)


def test_the_hint_stands_at_the_row_of_the_report(archive: Callable[..., Path], vocabulary: Vocabulary) -> None:
    folder = archive([("1", "burr", "", "")], audio=["0001.wav"])
    found: Examined = examine(Source("mine", folder), vocabulary)
    assert [(fault.row, fault.code) for fault in found.faults] == [(2, "no_audio")]
    assert "0001" in found.faults[0].message

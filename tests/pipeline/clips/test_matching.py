"""Rows find their audio: paths, base names, case, extensions; and what must not be guessed."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from pipeline.clips.matching import AudioIndex, Match, MatchError


def index(folder: Path, *files: str) -> AudioIndex:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
    return AudioIndex(folder)


def code(index: AudioIndex, name: str) -> str:
    with pytest.raises(MatchError) as caught:
        index.find(name)
    return caught.value.code


@pytest.mark.parametrize(
    "name",
    [
        "a.mp3",
        "A.MP3",
        "a",
        "train/a.mp3",
        "./train/a.mp3",
        "data_mp3/train/a.mp3",
        "data_mp3\\train\\a.mp3",
        "train/a",
        "C:\\Users\\anna\\sounds\\a.mp3",
        "/home/anna/a.mp3",
    ],
)
def test_ways_to_name_a_file(tmp_path: Path, name: str) -> None:
    assert index(tmp_path, "data_mp3/train/a.mp3", "data_mp3/train/b.mp3").find(name) == Match("data_mp3/train/a.mp3")


def test_another_extension_is_found_and_said(tmp_path: Path) -> None:
    assert index(tmp_path, "data_mp3/train/a.mp3").find("a.wav") == Match("data_mp3/train/a.mp3", renamed=True)


def test_a_dot_in_the_name_is_no_extension(tmp_path: Path) -> None:
    files = index(tmp_path, "data_mp3/train/rec.01.mp3", "data_mp3/train/rec.02.mp3")
    assert files.find("rec.01") == Match("data_mp3/train/rec.01.mp3")
    assert code(files, "rec") == "no_audio"


def test_decomposed_names(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "й.mp3")
    assert index(tmp_path, f"data_mp3/train/{decomposed}").find("й.mp3").path.endswith(decomposed)


def test_missing_audio(tmp_path: Path) -> None:
    files = index(tmp_path, "data_mp3/train/a.mp3", "data_mp3/test/b.mp3")
    assert code(files, "c.mp3") == "no_audio"
    assert code(files, "train/b.mp3") == "no_audio"
    assert code(files, "..") == "no_audio"


def test_a_text_beside_it_is_not_its_audio(tmp_path: Path) -> None:
    assert code(index(tmp_path, "data_mp3/train/a.txt"), "a.mp3") == "no_audio"


def test_the_folder_of_the_contract_comes_first(tmp_path: Path) -> None:
    files = index(tmp_path, "data_mp3/train/a.mp3", "data_mp3/test/a.mp3")
    assert files.find("a.mp3").path == "data_mp3/train/a.mp3"
    assert files.find("a").path == "data_mp3/train/a.mp3"
    assert files.find("test/a").path == "data_mp3/test/a.mp3"


def test_several_files_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    files = index(tmp_path, "data_mp3/2021/a.mp3", "data_mp3/2022/a.mp3")
    with pytest.raises(MatchError, match="2 files") as caught:
        files.find("a.mp3")
    assert caught.value.code == "ambiguous_audio"
    assert caught.value.found == ("data_mp3/2021/a.mp3", "data_mp3/2022/a.mp3")


def test_the_spelling_decides_between_names_that_differ_in_case(tmp_path: Path) -> None:
    files = index(tmp_path, "data_mp3/train/a.mp3", "data_mp3/train/A.mp3")
    assert files.find("A.mp3").path == "data_mp3/train/A.mp3"
    assert files.find("a.mp3").path == "data_mp3/train/a.mp3"


def test_the_extension_decides_between_formats(tmp_path: Path) -> None:
    files = index(tmp_path, "data_mp3/train/a.mp3", "data_mp3/train/a.wav")
    assert files.find("a.wav").path == "data_mp3/train/a.wav"
    assert code(files, "a") == "ambiguous_audio"


def test_leftovers_of_systems_are_no_audio(tmp_path: Path) -> None:
    files = index(tmp_path, "data_mp3/train/a.mp3", "__MACOSX/data_mp3/._a.mp3", "data_mp3/.hidden.mp3", "notes.txt")
    assert files.audio == ("data_mp3/train/a.mp3",)

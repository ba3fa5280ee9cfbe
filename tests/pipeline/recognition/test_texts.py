"""Texts as training targets: what is left of them, and what is wrong with one, told by row and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.clips.contents import Source
from pipeline.clips.dataset import ClipSet, build_clips
from pipeline.clips.verdict import TooManyFaultsError
from pipeline.recognition.settings import AsrClipSettings
from pipeline.recognition.texts import (
    TEXTS_NAME,
    NothingLeftError,
    Texts,
    alphabet_of,
    check_texts,
    named_letters,
)
from pipeline.recognition.vocabulary import transcribed_vocabulary
from speech.files import read_json
from speech.text.language import load_language
from tests.pipeline.recognition.corpora import spoken, write_folder
from tests.recognisers import tiny_lasr, tiny_recogniser

FRAME = 0.02
RUSSIAN, ENGLISH = load_language("ru"), load_language("en")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 "


def characters(text: str) -> list[int]:
    """A tokenizer of characters; 0 is what it does not know."""
    return [LETTERS.find(letter) + 1 for letter in text]


def clip_set(
    folder: Path, rows: list[tuple[str, str, str]], max_bad_share: float = 0.1, language: str = "en"
) -> ClipSet:
    out = folder / "out"
    out.mkdir()
    settings = AsrClipSettings(
        language=language,
        min_clips_per_split=1,
        max_bad_share=max_bad_share,
        min_seconds=0.3,
        min_speech_seconds=0,
        test_share=0.2,
        seed=20,
    )
    build_clips(
        [Source("one", write_folder(folder / "archive", rows))],
        out,
        vocabulary=transcribed_vocabulary(settings, load_language(language)),
        language=language,
        settings=settings,
        registry=folder / "speakers.json",
    )
    return ClipSet.load(out)


def changed(rows: list[tuple[str, str, str]], number: int, text: str) -> list[tuple[str, str, str]]:
    return [(file, text if place == number else said, who) for place, (file, said, who) in enumerate(rows)]


@pytest.mark.parametrize(
    ("language", "text", "target"),
    [
        (RUSSIAN, "Ещё раз: «Сорок два»!", "еще раз сорок два"),
        (RUSSIAN, "и\u0306од", "йод"),  # composed
        (RUSSIAN, "в 17-м году", "в 17 м году"),
        (ENGLISH, "Don't stop.</s>", "dont stop"),
        (ENGLISH, "  two\n lines ", "two lines"),
    ],
)
def test_target(language: object, text: str, target: str) -> None:
    assert Texts(language).target(text) == target


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("", "empty_text", "the cell is empty"),
        ("…!", "empty_text", "'…!' holds no letter and no digit"),
        ("а α и β", "foreign_letters", "text: Greek letters α, β are not in the alphabet of Russian (ru)"),
        ("дай USB", "foreign_letters", "text: Latin letters u, s, b are not in the alphabet of Russian (ru)"),
        ("中", "foreign_letters", "text: the CJK letter 中 is not in the alphabet of Russian (ru)"),
    ],
)
def test_fault_of_a_text(text: str, code: str, told: str) -> None:
    found = Texts(RUSSIAN).fault(text)
    assert found is not None
    assert found[0] == code
    assert told in found[1]


@pytest.mark.parametrize("text", ["Сорок два!", "ёж", "кот 2", "ко\u0301т"])
def test_text_without_fault(text: str) -> None:
    assert Texts(RUSSIAN).fault(text) is None


def test_letters_are_named_by_script() -> None:
    assert named_letters(["α"]) == "the Greek letter α is"
    assert named_letters(["α", "β", "я"]) == "Greek letters α, β and the Cyrillic letter я are"
    assert named_letters(list("абвгдежзийк")).endswith("and 3 more are")


def test_alphabet_is_of_training_clips_alone(tmp_path: Path) -> None:
    data = clip_set(tmp_path, spoken(4, 4))
    held = next(record for record in data.records if record.split == "test")
    assert alphabet_of(data.records, ENGLISH) == "0123enotw"
    assert alphabet_of([held], ENGLISH) == ""


def test_sound_texts_pass(tmp_path: Path) -> None:
    data = clip_set(tmp_path, spoken(4, 4))
    usable, faults = check_texts(data, characters, FRAME, tmp_path)
    assert usable == list(data.records)
    assert faults == []
    assert read_json(tmp_path / TEXTS_NAME) == {"clips": 16, "usable": 16, "faults": []}


def test_letters_that_the_vocabulary_lacks_are_named_with_row_and_field(tmp_path: Path) -> None:
    data = clip_set(tmp_path, changed(spoken(4, 5), 3, "quiz six"))
    usable, faults = check_texts(data, lambda text: [0 if letter in "qz\ue000" else 1 for letter in text], FRAME)
    (fault,) = faults
    assert str(fault) == ("one: row 5 (data_mp3/train/s0_3.wav): text: Latin letters q, z are not in the vocabulary")
    assert len(usable) == 19


@pytest.mark.parametrize("unknown", [[], [7]])
def test_a_tokenizer_may_leave_out_what_it_does_not_know(tmp_path: Path, unknown: list[int]) -> None:
    def ids_of(text: str) -> list[int]:
        return [number for letter in text for number in (unknown if letter in "q\ue000" else [ord(letter)])]

    data = clip_set(tmp_path, changed(spoken(4, 5), 3, "quit"))
    _, faults = check_texts(data, ids_of, FRAME)
    assert [fault.code for fault in faults] == ["unknown_letters"]


def test_tokenizers_of_characters_and_of_parts_of_words(tmp_path: Path) -> None:
    characters_of, parts_of = tiny_recogniser(tmp_path / "vocabulary").ids_of, tiny_lasr().ids_of
    rows = changed(spoken(4, 5, "пациент в норме"), 3, "пациент рот эра")
    rows = [(file, text.rstrip(" 01234"), who) for file, text, who in rows]
    data = clip_set(tmp_path, rows, language="ru")
    assert check_texts(data, characters_of, FRAME)[1] == []
    (fault,) = check_texts(data, parts_of, FRAME)[1]
    assert fault.row == 5
    assert "text: the Cyrillic letter э is not in the vocabulary" in fault.message


def test_audio_too_short_for_its_labels(tmp_path: Path) -> None:
    """39 frames: 38 different letters fit, and 20 pairs of equal ones need a blank each and do not."""
    rows = changed(changed(spoken(4, 6), 3, "ab" * 19), 4, "aa" * 10 + "b")
    data = clip_set(tmp_path, rows)
    usable, faults = check_texts(data, characters, FRAME)
    assert [fault.row for fault in faults] == [6]
    assert "text: needs 40 frames of 20 ms, 0.80 s of recording have 39" in faults[0].message
    assert "ab" * 19 in [record.text for record in usable]


def test_faults_of_both_stages_count_together(tmp_path: Path) -> None:
    """Of 20 rows one is left out when read; two more pass 10 %."""
    rows = changed(spoken(4, 5), 0, "")
    for number in (6, 12):
        rows = changed(rows, number, "quiz")
    data = clip_set(tmp_path, rows)
    with pytest.raises(TooManyFaultsError, match=r"3 of 20 rows cannot be used: 15.0%(.|\n)*row 8 .*text: Latin"):
        check_texts(data, lambda text: [0 if letter in "qz\ue000" else 1 for letter in text], FRAME, tmp_path)
    assert len(read_json(tmp_path / TEXTS_NAME)["faults"]) == 2


def test_a_split_must_not_be_left_empty(tmp_path: Path) -> None:
    rows = [(file, f"{text} {who[1:]}", who) for file, text, who in spoken(4, 4)]
    data = clip_set(tmp_path, rows, max_bad_share=1.0)
    held = {record.text for record in data.of_split("test")}
    others = {record.text for record in data.records if record.split != "test"}

    def ids_of(text: str) -> list[int]:
        return [1] * (1000 if text in held else len(text)) if text != "\ue000" else []

    assert held
    assert not held & others
    with pytest.raises(NothingLeftError, match="the split test has a text that the model can use; one: row"):
        check_texts(data, ids_of, FRAME)

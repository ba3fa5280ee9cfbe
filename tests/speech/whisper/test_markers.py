"""Marker letters: which words and clips are trusted, and the table of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from speech.text.language import Language, load_language
from speech.whisper.markers import ClipMarkers, ConfidenceLimits, count_markers, coverage, doubts, from_text
from speech.whisper.transcript import WhisperTranscript, Word

LIMITS = ConfidenceLimits()


@pytest.fixture(scope="module")
def russian() -> Language:
    return load_language("ru")


def heard(*words: tuple[str, float], **measures: float | None) -> WhisperTranscript:
    """A transcript whose words last 0.4 s each, trusted unless told otherwise."""
    timed = tuple(
        Word(text, index * 0.5, index * 0.5 + 0.4, probability) for index, (text, probability) in enumerate(words)
    )
    given = {"no_speech_probability": 0.02, "compression_ratio": 1.0, "average_logprob": -0.3, **measures}
    return WhisperTranscript(" ".join(text for text, _ in words), timed, "ru", **given)  # type: ignore[arg-type]


def test_words_of_a_clear_clip_are_sure_and_add_up(russian: Language) -> None:
    found = count_markers(heard(("Дорога", 0.9), ("идёт", 0.8), ("через", 0.99), ("лес", 0.7)), 2.5, russian, LIMITS)
    assert found.counts == {"р": 2, "г": 1}
    assert found.doubt is None
    assert [(word.text, word.counts["р"], word.confident) for word in found.words] == [
        ("Дорога", 1, True),
        ("идёт", 0, True),
        ("через", 1, True),
        ("лес", 0, True),
    ]


@pytest.mark.parametrize("unsure", [("горох", 0.49), ("3", 0.9), ("park", 0.9)])
def test_one_unsure_word_leaves_the_clip_uncounted(russian: Language, unsure: tuple[str, float]) -> None:
    found = count_markers(heard(("Город", 0.9), unsure), 2.0, russian, LIMITS)
    assert found.counts is None
    assert [word.confident for word in found.words] == [True, False]


def test_a_word_without_length_or_past_the_end_is_unsure(russian: Language) -> None:
    clip = heard(("Город", 0.9), ("рядом", 0.9))
    empty = replace(clip, words=(clip.words[0], replace(clip.words[1], end=clip.words[1].start)))
    assert [word.confident for word in count_markers(empty, 2.0, russian, LIMITS).words] == [True, False]
    assert [word.confident for word in count_markers(clip, 0.8, russian, LIMITS).words] == [True, False]


@pytest.mark.parametrize(
    ("transcript", "doubt"),
    [
        (heard(("город", 0.9), no_speech_probability=0.61), "no_speech"),
        (heard(("город", 0.9), compression_ratio=2.41), "repetition"),
        (heard(("Субтитры", 0.9), ("сделал", 0.9), ("DimaTorzok", 0.9)), "unspoken"),
        (heard(("Продолжение", 0.9), ("следует", 0.9)), "unspoken"),
        (heard(*[("растерявшиеся", 0.9)] * 6), "too_fast"),
        (heard(), "nothing_heard"),
        (heard(("город", 0.9), no_speech_probability=None, compression_ratio=None), "nothing_heard"),
    ],
)
def test_a_clip_in_doubt_has_no_sure_word(russian: Language, transcript: WhisperTranscript, doubt: str) -> None:
    found = count_markers(transcript, 2.0, russian, LIMITS)
    assert found.doubt == doubt
    assert found.counts is None
    assert not any(word.confident for word in found.words)


def test_the_limits_are_a_setting(russian: Language) -> None:
    clip = heard(("город", 0.3), no_speech_probability=0.7, compression_ratio=3.0)
    wide = ConfidenceLimits(min_word_probability=0.2, max_no_speech=0.8, max_compression=3.5)
    assert count_markers(clip, 2.0, russian, wide).counts == {"р": 1, "г": 1}


def test_a_given_text_counts_without_words(russian: Language) -> None:
    text = "На горе́ растёт ста́рый дуб."
    assert from_text(text, russian) == ClipMarkers((), {"р": 3, "г": 1}, text=text)
    assert from_text("Ему 33 года", russian) == ClipMarkers((), None, "unreadable")
    assert from_text(" … ", russian) == ClipMarkers((), None, "nothing_heard")


def test_the_text_is_kept_only_where_every_word_is_sure(russian: Language) -> None:
    assert count_markers(heard(("Рог", 0.9), ("гора", 0.9)), 2.0, russian, LIMITS).text == "Рог гора"
    assert count_markers(heard(("Рог", 0.9), ("гора", 0.1)), 2.0, russian, LIMITS).text is None
    assert from_text("рог и гора", russian).text == "рог и гора"


def test_json_and_back(russian: Language) -> None:
    found = count_markers(heard(("Дорога", 0.9), ("домой", 0.2)), 2.0, russian, LIMITS)
    assert ClipMarkers.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_coverage_and_doubts(russian: Language) -> None:
    clips = [
        count_markers(heard(("Дорога", 0.9), ("рядом", 0.9)), 2.0, russian, LIMITS),
        count_markers(heard(("берег", 0.9), ("горы", 0.1)), 2.0, russian, LIMITS),
        count_markers(heard(("город", 0.9), no_speech_probability=0.9), 2.0, russian, LIMITS),
        from_text("мама", russian),
    ]
    r, g = coverage(clips, ["р", "г"])
    assert r == {
        "letter": "р",
        "words with it": 5,
        "sure words": 3,
        "sure share": 0.6,
        "clips": 4,
        "clips with known count": 2,
        "known clips with it": 1,
        "letters in known clips": 2,
        "mean a known clip": 1.0,
    }
    assert (g["words with it"], g["sure words"], g["mean a known clip"]) == (3, 1, 0.5)
    assert doubts(clips) == {"no_speech": 1}


def test_coverage_of_nothing_makes_no_numbers_up() -> None:
    (row,) = coverage([], ["р"])
    assert row["sure share"] is None
    assert row["mean a known clip"] is None

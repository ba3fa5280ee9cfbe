"""Other sound before, after and between speech is silenced for who hears words; speech is not touched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE
from speech.audio.other_sound import OtherSound
from tests.long import joined, room, sentence
from tests.speech.audio.known_cases.sounds import NO_SPEECH, ringing_tone

BREATH = int(0.15 * SAMPLE_RATE)  # of the third of a second in which the sentences have not begun
EDGE = int(0.7 * SAMPLE_RATE)  # beside a sentence: its first and last sounds, and the margin


def quietened(samples: np.ndarray, piece: int = SAMPLE_RATE) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """What is left of the samples, and what was silenced."""
    other = OtherSound()
    parts = [other.add(samples[at : at + piece]) for at in range(0, len(samples), piece)]
    left = np.concatenate([*parts, other.finish()])
    return left, list(other.silenced(0, len(samples)))


def laid(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The parts one after the other, and where each lies."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return np.concatenate(parts).astype(np.float32), list(zip([0, *ends[:-1]], ends, strict=True))


@pytest.mark.parametrize("name", NO_SPEECH)
@pytest.mark.parametrize("place", ["before", "after", "between", "around"])
def test_what_is_no_speech_is_silenced_and_speech_is_not(name: str, place: str) -> None:
    other, city, forest = NO_SPEECH[name], sentence("city"), sentence("forest")
    parts = {
        "before": [other, city, forest],
        "after": [city, forest, other],
        "between": [city, other, forest],
        "around": [other, city, other],
    }[place]
    samples, places = laid(parts)
    left, silenced = quietened(samples)
    assert len(left) == len(samples)
    for part, (start, end) in zip(parts, places, strict=True):
        if part is other:
            inner = left[start + EDGE : end - EDGE]
            assert not inner.any()
        else:
            assert np.array_equal(left[start + BREATH : end], samples[start + BREATH : end])
    for start, end in silenced:
        assert not left[start:end].any()
    kept = np.ones(len(samples), bool)
    for start, end in silenced:
        kept[start:end] = False
    assert np.array_equal(left[kept], samples[kept])


@pytest.mark.parametrize("seconds", [1.5, 4.0, 75.0])
@pytest.mark.parametrize("dbfs", [-30.0, -12.0])
def test_a_tone_of_any_length_is_silenced(seconds: float, dbfs: float) -> None:
    tone = 10 ** (dbfs / 20) * np.sin(2 * np.pi * 440 * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    samples, places = laid([tone, sentence("city"), tone, sentence("forest"), tone])
    left, _ = quietened(samples)
    for number in (0, 2, 4):
        start, end = places[number]
        assert not left[start + EDGE : end - EDGE].any()
    for number in (1, 3):
        start, end = places[number]
        assert np.array_equal(left[start + BREATH : end], samples[start + BREATH : end])


def test_a_ringing_tone_with_long_pauses_is_silenced() -> None:
    ring = np.concatenate([ringing_tone()[:SAMPLE_RATE], np.zeros(4 * SAMPLE_RATE, np.float32)])
    samples, _ = laid([ring, ring, ring, sentence()])
    left, _ = quietened(samples)
    assert not left[: 3 * len(ring) - EDGE].any()


@pytest.mark.parametrize(
    "samples",
    [
        joined("city", 0.3, "forest"),
        joined(3.0, "city", 6.0, "forest", 4.0),
        joined(45.0, "city", 70.0),
        np.concatenate([sentence(), np.zeros(5 * SAMPLE_RATE, np.float32), sentence("forest")]),
        np.concatenate([sentence(), 5 * room(4.0), sentence("forest")]),
    ],
    ids=["speech", "pauses", "long pauses", "digital silence", "a noisier room"],
)
def test_speech_and_quiet_stay_as_they_are(samples: np.ndarray) -> None:
    left, silenced = quietened(samples)
    assert silenced == []
    assert np.array_equal(left, samples)


@pytest.mark.parametrize("db", [-6.0, -18.0, -26.0])
def test_quiet_words_stay(db: float) -> None:
    quiet = 10 ** (db / 20) * sentence("forest")
    samples, places = laid([sentence("city"), room(2.0), quiet, room(2.0), sentence("city"), ringing_tone()])
    left, silenced = quietened(samples)
    assert silenced
    end = places[4][1]
    assert np.array_equal(left[:end], samples[:end])


def test_a_knock_is_no_other_sound() -> None:
    knock = room(4.0)
    knock[SAMPLE_RATE * 2 : SAMPLE_RATE * 2 + 3000] = 0.5
    samples, _ = laid([sentence(), knock, sentence("forest")])
    assert quietened(samples)[1] == []


@pytest.mark.parametrize("piece", [777, 16_000, 333_333])
def test_pieces_of_any_size_give_the_same(piece: int) -> None:
    samples, _ = laid([NO_SPEECH["melody"], sentence("city"), ringing_tone(), sentence("forest"), NO_SPEECH["noise"]])
    left, silenced = quietened(samples, piece)
    expected, spans = quietened(samples)
    assert silenced == spans
    assert np.array_equal(left, expected)


def test_sound_is_given_as_soon_as_somebody_speaks() -> None:
    other = OtherSound()
    given = [len(other.add(part)) for part in np.split(np.tile(sentence()[:SAMPLE_RATE], 8), 8)]
    assert sum(given[:4]) > 2 * SAMPLE_RATE

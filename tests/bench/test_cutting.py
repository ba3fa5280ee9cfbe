"""Stutter cut into a reading: what its twins share, and that the places told are the true ones."""

from __future__ import annotations

import random

import numpy as np
import pytest

from bench import cutting
from bench.cutting import Edit, Piece, Tone, TooShortError, pitch_period, room_tone, splice, stretched, twins
from bench.festival import Reading
from speech.audio.decode import SAMPLE_RATE
from speech.synthesis.espeak import Phone

SILENCE, PHONE = 0.2, 0.1  # seconds
WORDS = ("s a r", "g o r a", "v", "m a k a", "l u n a", "n a", "r u k a", "p o l e")
SEEDS = range(30)


def reading(words: tuple[str, ...] = WORDS) -> Reading:
    """Every phone a tone of its own pitch, so that a sound tells where it came from; quiet noise before and after."""
    rng = np.random.default_rng(0)
    phones, at = [], SILENCE
    for word in words:
        spelled = []
        for symbol in word.split():
            spelled.append(Phone(symbol, at, at + PHONE))
            at += PHONE
        phones.append(tuple(spelled))
    time = np.arange(round((at + SILENCE) * SAMPLE_RATE)) / SAMPLE_RATE
    sound = 0.001 * rng.standard_normal(len(time))
    for number, phone in enumerate(phone for word in phones for phone in word):
        inside = (time >= phone.start) & (time < phone.end)
        sound[inside] += 0.3 * np.sin(2 * np.pi * (100 + 10 * number) * time[inside])
    return Reading(sound.astype(np.float32), tuple(phones))


@pytest.fixture
def tone() -> Tone:
    return room_tone(reading(), random.Random(0))


@pytest.mark.parametrize("seed", SEEDS)
def test_twins_have_equal_splices_and_length(seed: int) -> None:
    said = reading()
    stuttered, fluent = twins(said, 1.5, 0.5, 1 + seed % 3, random.Random(seed))
    assert stuttered.splices == fluent.splices
    assert len(stuttered.sound) == pytest.approx(len(fluent.sound), abs=10)
    assert len(fluent.sound) > len(said.sound) + 0.6 * SAMPLE_RATE


def test_held_sounds_have_as_many_splices_as_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of a held sound needs no further cut; a pause before the held word would leave it one too many."""
    monkeypatch.setattr(cutting, "KINDS", ("held",))
    said = reading(("m a k a", "s a k a", "l u n a"))
    for seed in range(100):
        stuttered, fluent = twins(said, 1.0, 0.3, 1, random.Random(seed))
        assert stuttered.splices == fluent.splices == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_places_are_inside_the_clip_and_only_in_the_stuttered_twin(seed: int) -> None:
    times = 1 + seed % 3
    stuttered, fluent = twins(reading(), 1.5, 0.5, times, random.Random(seed))
    assert fluent.spans == ()
    assert 1 <= len(stuttered.spans) <= times
    ends = [moment for span in stuttered.spans for moment in span]
    assert ends == sorted(ends)
    assert ends[0] >= SILENCE
    assert ends[-1] <= len(stuttered.sound) / SAMPLE_RATE - SILENCE
    assert all(end - start > 0.1 for start, end in stuttered.spans)


def test_the_fluent_twin_says_every_phone_once_and_the_stuttered_one_repeats_onsets() -> None:
    expected = [symbol for word in WORDS for symbol in word.split()]
    longer = 0
    for seed in SEEDS:
        stuttered, fluent = twins(reading(), 1.5, 0.5, 2, random.Random(seed))
        assert [phone.symbol for phone in fluent.phones] == expected
        longer += len(stuttered.phones) > len(expected)
    assert longer > len(SEEDS) / 3


@pytest.mark.parametrize("kind", cutting.KINDS)
def test_a_disfluency_adds_about_what_is_asked(kind: str, tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "KINDS", (kind,))
    said = reading(("m a k a", "s a k a"))
    for seed in SEEDS:
        (edit,) = cutting.disfluencies(said, 0.5, 1, tone, random.Random(seed))
        assert edit.seconds == pytest.approx(0.5, abs=0.2)
        made = splice(said, [edit])
        assert len(made.spans) == 1
        if kind == "block":
            start, end = (round(moment * SAMPLE_RATE) for moment in made.spans[0])
            assert np.abs(made.sound[start:end]).max() < 0.02


def test_phones_keep_their_sound_after_a_cut(tone: Tone) -> None:
    said = reading()
    last = said.words[-1][-1]
    at = said.words[3][0].start
    made = splice(said, [Edit(at, at, (Piece(tone(0.3), disfluent=True),))])
    moved = made.phones[-1]
    assert moved.start == pytest.approx(last.start + 0.3, abs=1e-3)
    source = said.sound[round(last.start * SAMPLE_RATE) :][:1000]
    assert np.allclose(made.sound[round(moved.start * SAMPLE_RATE) :][:1000], source, atol=1e-6)
    assert made.spans == (pytest.approx((at, at + 0.3), abs=1e-3),)


def test_a_bare_cut_takes_and_adds_nothing() -> None:
    said = reading()
    at = said.words[1][2].start
    made = splice(said, [Edit(at, at)])
    assert made.splices == 1
    changed = np.flatnonzero(made.sound != said.sound) / SAMPLE_RATE
    assert len(made.sound) == len(said.sound)
    assert changed.min() > at - 2 * cutting.FADE_SECONDS
    assert changed.max() < at + 2 * cutting.FADE_SECONDS


def test_a_pause_before_a_held_sound_stands_before_it(tone: Tone) -> None:
    said = reading()
    word = said.words[3]
    held = Edit(word[0].start, word[0].end, (Piece(np.ones(8000, np.float32), (Phone("m", 0, 0.5),), disfluent=True),))
    made = splice(said, [Edit(word[0].start, word[0].start, (Piece(tone(0.2)),)), held])
    assert made.spans == (pytest.approx((word[0].start + 0.2, word[0].start + 0.7), abs=1e-3),)
    assert [phone.symbol for phone in made.phones].count("m") == 1


def test_a_stretched_sound_keeps_its_pitch() -> None:
    time = np.arange(1600) / SAMPLE_RATE
    sound = sum(np.sin(2 * np.pi * 125 * harmonic * time) / harmonic for harmonic in range(1, 6)).astype(np.float32)
    period = pitch_period(sound)
    assert period == pytest.approx(SAMPLE_RATE / 125, abs=1)
    made = stretched(sound, 9000, period, random.Random(0))
    assert made.shape == (9000,)
    assert pitch_period(made[2000:6000]) == pytest.approx(period, abs=2)
    assert np.std(made[1000:8000]) == pytest.approx(np.std(sound), rel=0.15)


def test_a_stretched_noise_does_not_repeat() -> None:
    sound = np.random.default_rng(0).standard_normal(1600).astype(np.float32)
    assert pitch_period(sound) is None
    made = stretched(sound, 9000, None, random.Random(0))
    correlation = np.correlate(made, made, mode="full")[len(made) - 1 :]
    assert np.abs(correlation[80:4000]).max() < 0.2 * correlation[0]
    assert np.std(made[1000:8000]) == pytest.approx(np.std(sound), rel=0.15)


def test_room_tone_is_as_loud_as_the_room(tone: Tone) -> None:
    assert len(tone(0.25)) == 4000
    assert np.std(tone(0.25)) == pytest.approx(0.001, rel=0.2)
    assert not np.array_equal(tone(0.25), tone(0.25))


def test_too_short_a_sentence_is_refused() -> None:
    with pytest.raises(TooShortError, match="1 gaps between words"):
        twins(reading(("m a k a", "s a k a")), 1.0, 0.3, 1, random.Random(0))

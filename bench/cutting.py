"""Stutter cut into recorded speech at the phones' own times, and its fluent twin with as many splices.

This is not the imitation that training uses (`pipeline.defects.disfluency` finds onsets by loudness and holds a sound
with random grains): a model must not be judged by the cuts that it was taught.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bench.festival import HELD, VOICELESS, VOWELS, Reading
from speech.audio.decode import SAMPLE_RATE
from speech.synthesis.espeak import Phone

KINDS = ("syllable", "sound", "held", "block")
FADE_SECONDS = 0.005  # before and after a splice: no clicks
GAP_SECONDS = (0.05, 0.15)  # between repetitions
HELD_SECONDS, BLOCK_SECONDS = (0.25, 0.8), (0.2, 0.6)
REPETITIONS = (2, 4)
LEAST_PHONES = 3  # of a word that can be stuttered; prepositions are spoken as one with what follows
UNVOICED_PERIOD = SAMPLE_RATE // 100
PITCH_HERTZ = (70, 200)  # of a man, which the voice is

Words = Sequence[Sequence[Phone]]
Tone = Callable[[float], np.ndarray]


class TooShortError(ValueError):
    """A sentence with too few words or sounds for the cuts asked for."""


@dataclass(frozen=True)
class Piece:
    """Sound (n,) float32 at 16 kHz, its phones in seconds from its start, and whether fluent speech lacks it."""

    sound: np.ndarray
    phones: tuple[Phone, ...] = ()
    disfluent: bool = False


@dataclass(frozen=True)
class Edit:
    """`pieces` in place of the sound from `start` to `end` seconds; nothing is taken away where both are equal."""

    start: float
    end: float
    pieces: tuple[Piece, ...] = ()

    @property
    def seconds(self) -> float:
        """By how much the sound grows."""
        return sum(len(piece.sound) for piece in self.pieces) / SAMPLE_RATE - (self.end - self.start)


@dataclass(frozen=True)
class Spliced:
    """Sound (n,) float32 at 16 kHz, its phones, where it is disfluent in seconds, and at how many splices it is cut."""

    sound: np.ndarray
    phones: tuple[Phone, ...]
    spans: tuple[tuple[float, float], ...]
    splices: int


def twins(reading: Reading, extra: float, pauses: float, times: int, rng: random.Random) -> tuple[Spliced, Spliced]:
    """(stuttered, fluent), equally long and with equally many splices, of which each adds about `extra` seconds.

    Both have one or two pauses between words, of `pauses` seconds in all. The stuttered one has `times` disfluencies
    for the rest of `extra`; the fluent one has for each a pause of the same length between other words, and is cut and
    joined inside words until the splices are as many. Raises `TooShortError`.
    """
    tone = room_tone(reading, rng)
    gaps = [word[0].start for last, word in pairwise(reading.words) if _long(last)]
    rng.shuffle(gaps)
    if len(gaps) <= times:
        raise TooShortError(f"{len(gaps)} gaps between words are too few for {times} disfluencies and a pause")
    common = gaps[times : times + rng.randint(1, 2)]
    shared = [Edit(at, at, (Piece(tone(pauses / len(common))),)) for at in common]
    apart = [word for word in reading.words if word[0].start not in common]  # at one place they would share a splice
    disfluent = disfluencies(Reading(reading.sound, tuple(apart)), extra - pauses, times, tone, rng)
    stuttered = splice(reading, shared + disfluent)
    shared += [Edit(at, at, (Piece(tone(edit.seconds)),)) for at, edit in zip(gaps, disfluent, strict=False)]
    missing = stuttered.splices - splice(reading, shared).splices
    inside = [phone.start for word in reading.words for phone in word[1:]]
    if missing > len(inside):
        raise TooShortError(f"{len(inside)} places inside words are too few for {missing} cuts")
    return stuttered, splice(reading, shared + [Edit(at, at) for at in rng.sample(inside, k=missing)])


def disfluencies(reading: Reading, extra: float, times: int, tone: Tone, rng: random.Random) -> list[Edit]:
    """`times` disfluent words that add about `extra` seconds: a repeated first syllable or sound, a held first sound,
    or a block (a silence inside the word). Raises `TooShortError`."""
    candidates = [word for word in reading.words if _long(word)]
    if len(candidates) < times:
        raise TooShortError(f"{len(candidates)} words are too few for {times} disfluencies")
    return [_disfluency(reading.sound, word, extra / times, tone, rng) for word in rng.sample(candidates, k=times)]


def _disfluency(sound: np.ndarray, word: Sequence[Phone], extra: float, tone: Tone, rng: random.Random) -> Edit:
    kind, first = rng.choice(KINDS), word[0]
    if kind == "held" and first.symbol in HELD:
        seconds = first.end - first.start + _within(HELD_SECONDS, extra)
        onset_sound = _part(sound, first.start, first.end)
        period = None if first.symbol in VOICELESS else pitch_period(onset_sound)
        held = stretched(onset_sound, round(seconds * SAMPLE_RATE), period, rng)
        phone = Phone(first.symbol, 0.0, len(held) / SAMPLE_RATE)
        return Edit(first.start, first.end, (Piece(held, (phone,), disfluent=True),))
    if kind == "block":
        at = word[rng.randint(1, 2)].start
        return Edit(at, at, (Piece(tone(_within(BLOCK_SECONDS, extra)), disfluent=True),))
    onset = word[: 1 if kind == "sound" else _first_vowel(word) + 1]
    turn = _source(sound, word, first.start, onset[-1].end)
    pause = rng.uniform(*GAP_SECONDS)
    count = round(_within(REPETITIONS, extra / (len(turn.sound) / SAMPLE_RATE + pause)))
    pieces: list[Piece] = []
    for _ in range(count):
        louder = np.float32(rng.uniform(0.75, 1.05))
        pieces += [replace(turn, sound=turn.sound * louder, disfluent=True), Piece(tone(pause), disfluent=True)]
    return Edit(first.start, first.start, tuple(pieces))


def splice(reading: Reading, edits: Sequence[Edit]) -> Spliced:
    """The reading with all edits; of those at one place the first comes first."""
    phones = [phone for word in reading.words for phone in word]
    pieces: list[Piece] = []
    last = 0.0
    for edit in sorted(edits, key=lambda edit: edit.start):
        pieces += [_source(reading.sound, phones, last, edit.start), *edit.pieces]
        last = edit.end
    pieces.append(_source(reading.sound, phones, last, len(reading.sound) / SAMPLE_RATE))
    return _joined([piece for piece in pieces if len(piece.sound)])


def _joined(pieces: list[Piece]) -> Spliced:
    phones: list[Phone] = []
    spans: list[tuple[float, float]] = []
    sounds: list[np.ndarray] = []
    at = 0
    for index, piece in enumerate(pieces):
        start, end = at / SAMPLE_RATE, (at + len(piece.sound)) / SAMPLE_RATE
        phones += [Phone(phone.symbol, phone.start + start, phone.end + start) for phone in piece.phones]
        if piece.disfluent and index and pieces[index - 1].disfluent:
            spans[-1] = (spans[-1][0], end)
        elif piece.disfluent:
            spans.append((start, end))
        sounds.append(_faded(piece.sound, before=index > 0, after=index < len(pieces) - 1))
        at += len(piece.sound)
    return Spliced(np.concatenate(sounds), tuple(phones), tuple(spans), len(pieces) - 1)


def room_tone(reading: Reading, rng: random.Random) -> Tone:
    """Makes as many seconds as wanted of what is heard before the reading's first word: its spectrum, other phases."""
    heard = _part(reading.sound, 0.0, reading.words[0][0].start)
    if not len(heard):
        raise TooShortError("no silence before the first word: there is no room tone to make pauses of")
    level = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    loudness = float(np.sqrt(np.mean(heard**2)))
    noise = np.random.default_rng(rng.getrandbits(32))

    def tone(seconds: float) -> np.ndarray:
        length = round(seconds * SAMPLE_RATE)
        spectrum = np.interp(np.linspace(0, 1, length // 2 + 1), np.linspace(0, 1, len(level)), level)
        made = np.fft.irfft(spectrum * np.exp(2j * np.pi * noise.random(len(spectrum))), n=length)
        return (made * loudness / max(1e-12, float(np.std(made)))).astype(np.float32)

    return tone


def stretched(sound: np.ndarray, length: int, period: int | None, rng: random.Random) -> np.ndarray:
    """A sound (n,) drawn out to `length` samples at its own pitch: windows of two periods, overlapped by one, walk
    slowly through it (pitch-synchronous overlap-add, Moulines and Charpentier 1990). `period` is in samples. Without
    one the windows keep their spectrum and draw their phases, for a noise that repeats would hum."""
    hop = min(period or UNVOICED_PERIOD, len(sound) // 2)
    window, noise = np.hanning(2 * hop + 1)[:-1], np.random.default_rng(rng.getrandbits(32))
    made, weight = np.zeros(length + 2 * hop), np.zeros(length + 2 * hop)
    for place in range(0, length, hop):
        source = round(place / length * (len(sound) // hop - 2)) * hop  # whole periods apart, so that they add up
        grain = sound[source : source + 2 * hop]
        if period is None:
            grain = np.fft.irfft(np.abs(np.fft.rfft(grain)) * np.exp(2j * np.pi * noise.random(hop + 1)), n=2 * hop)
        made[place : place + 2 * hop] += window * grain
        weight[place : place + 2 * hop] += window if period else window**2
    weight = weight if period else np.sqrt(weight)  # what is alike adds up in amplitude, what is not in power
    return (made[:length] / np.maximum(weight[:length], 0.1)).astype(np.float32)


def pitch_period(sound: np.ndarray) -> int | None:
    """Samples of a period of voice, by the highest peak of the autocorrelation; None where nothing repeats."""
    low, high = (SAMPLE_RATE // hertz for hertz in reversed(PITCH_HERTZ))
    centred = sound - sound.mean()
    reach = min(high, len(sound) // 2)
    if reach <= low or not np.any(centred):
        return None
    correlation = np.correlate(centred, centred, mode="full")[len(sound) - 1 :]
    peaks = [lag for lag in range(low, reach) if correlation[lag - 1] < correlation[lag] >= correlation[lag + 1]]
    best = max(peaks, key=lambda lag: correlation[lag], default=0)
    return best if best and correlation[best] > 0.3 * correlation[0] else None


def _source(sound: np.ndarray, phones: Sequence[Phone], start: float, end: float) -> Piece:
    """The sound between two times, with the phones that begin in it."""
    inside = [phone for phone in phones if start <= phone.start < end]
    return Piece(
        _part(sound, start, end), tuple(Phone(phone.symbol, phone.start - start, phone.end - start) for phone in inside)
    )


def _part(sound: np.ndarray, start: float, end: float) -> np.ndarray:
    return sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


def _faded(sound: np.ndarray, before: bool, after: bool) -> np.ndarray:
    sound = sound.copy()
    ramp = np.linspace(0.0, 1.0, min(round(FADE_SECONDS * SAMPLE_RATE), len(sound) // 2), dtype=np.float32)
    if before:
        sound[: len(ramp)] *= ramp
    if after:
        sound[len(sound) - len(ramp) :] *= ramp[::-1]
    return sound


def _first_vowel(word: Sequence[Phone]) -> int:
    return next((index for index, phone in enumerate(word) if phone.symbol in VOWELS), 0)


def _long(word: Sequence[Phone]) -> bool:
    return len(word) >= LEAST_PHONES


def _within(bounds: tuple[float, float], value: float) -> float:
    return max(bounds[0], min(bounds[1], value))

"""Stutter imitated on fluent speech: repeated onsets, held sounds, blocks, cut into a recording (as in LibriStutter,
Kourkounakis et al. 2021). Recordings of people who stutter are few; what a disfluency is can be shown on any voice.

Pauses between words are imitated by the same means in clips that stay what they are, so that neither a silence nor a
splice tells a stutter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speech.audio.decode import SAMPLE_RATE

_HOP = SAMPLE_RATE // 100  # 10 ms
_FADE = SAMPLE_RATE // 200  # 5 ms: splices without clicks
_LEAST_SECONDS = 0.6  # of a clip; a shorter one has no room for a disfluency
_ONSET_RISE = 4.0  # decibels within 50 ms: where a word or syllable may begin
_PAUSE_SECONDS = (0.08, 0.45)
# How a disfluency is cut, and the kind that it is then (the names of SEP-28k, Lea et al. 2021).
CUTS = {
    "syllable": "repetition",
    "sound": "repetition",
    "held": "prolongation",
    "block": "block",
    "filler": "interjection",
}
IMITATED = ("syllable", "sound", "held", "block")  # a filler between words is fluent people's too


@dataclass(frozen=True)
class Disfluency:
    """One disfluency cut in: at which sample of the copy it begins, how long it is, at how many places it is joined,
    and which of `CUTS` it is."""

    start: int
    length: int
    joins: int
    cut: str

    @property
    def kind(self) -> str:
        """Its kind as corpora of stutter call it."""
        return CUTS[self.cut]


def stuttered(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A copy of mono float32 samples (n,) at 16 kHz with one to three disfluencies; None where there is no onset."""
    cut = disfluent(samples, rng)
    return None if cut is None else cut[0]


def disfluent(
    samples: np.ndarray, rng: np.random.Generator, cuts: Sequence[str] = IMITATED
) -> tuple[np.ndarray, list[Disfluency]] | None:
    """The copy that `stuttered` makes, and its disfluencies in order of time, each one of `cuts`; None where there is
    no onset."""
    starts = onsets(samples)
    if not len(starts):
        return None
    chosen = rng.choice(starts, size=min(len(starts), int(rng.integers(1, 4))), replace=False)
    quiet = quietest(samples)
    made: list[Disfluency] = []
    for start in sorted((int(value) for value in chosen), reverse=True):  # from the end: earlier places stay true
        cut, before, joins = str(rng.choice(cuts)), len(samples), 2
        if cut == "held":
            samples, start = _held(samples, start, rng)
        elif cut == "filler":
            samples = insert(samples, start, _filler(samples, quiet, rng))
        elif cut == "block":
            start += _draw(rng, 0.05, 0.16)
            samples = insert(samples, start, gap(quiet, _draw(rng, 0.18, 0.5), rng))
        else:
            samples, joins = _repeated(samples, start, quiet, rng, (0.12, 0.28) if cut == "syllable" else (0.05, 0.12))
        length = len(samples) - before
        made = [replace(one, start=one.start + length) if one.start >= start else one for one in made]
        made.append(Disfluency(start, length, joins, cut))
    return samples.astype(np.float32), sorted(made, key=lambda one: one.start)


def paused(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy with one to three longer pauses where the voice rests anyway."""
    places = rests(samples)
    if not len(places):
        return samples
    quiet = quietest(samples)
    for place in sorted((int(value) for value in rng.choice(places, size=int(rng.integers(1, 4)))), reverse=True):
        samples = insert(samples, place, gap(quiet, _draw(rng, *_PAUSE_SECONDS), rng))
    return samples.astype(np.float32)


def rests(samples: np.ndarray) -> np.ndarray:
    """Samples at which the voice rests, away from the ends."""
    level = loudness(samples)
    if len(level) * _HOP < _LEAST_SECONDS * SAMPLE_RATE:
        return np.zeros(0, dtype=int)
    resting = np.flatnonzero(level < _threshold(level))
    return resting[(resting > 10) & (resting < len(level) - 10)] * _HOP + _HOP // 2


def loudness(samples: np.ndarray) -> np.ndarray:
    """Decibels of each 10 ms, smoothed over 30 ms."""
    frames = samples[: len(samples) // _HOP * _HOP].reshape(-1, _HOP)
    power = np.convolve((frames**2).mean(1), np.ones(3) / 3, mode="same") if len(frames) else np.zeros(0)
    return 10 * np.log10(power + 1e-10)


def onsets(samples: np.ndarray) -> np.ndarray:
    """Samples at which the voice sets in: the low points before a rise of the level into speech."""
    level = loudness(samples)
    if len(level) * _HOP < _LEAST_SECONDS * SAMPLE_RATE:
        return np.zeros(0, dtype=int)
    speech = _threshold(level)
    found = [
        frame
        for frame in range(2, len(level) - 25)
        if level[frame] <= level[frame - 2 : frame + 3].min()
        and level[frame : frame + 6].max() - level[frame] >= _ONSET_RISE
        and level[frame : frame + 8].max() > speech
    ]
    return np.array(found, dtype=int) * _HOP


def gap(quiet: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """`length` samples of the recording's own background, from its quietest stretch, forwards and backwards."""
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < length:
        pieces.append(quiet if rng.random() < 0.5 else quiet[::-1])
    return np.concatenate(pieces)[:length] if pieces else quiet[:0]


def _threshold(level: np.ndarray) -> float:
    low, high = np.percentile(level, (10, 90))
    return float(low + 0.4 * (high - low))


def quietest(samples: np.ndarray) -> np.ndarray:
    """The quietest 60 ms of a clip."""
    level = np.convolve(loudness(samples), np.ones(6) / 6, mode="valid")
    first = int(np.argmin(level)) * _HOP
    return samples[first : first + 6 * _HOP]


def _draw(rng: np.random.Generator, low: float, high: float) -> int:
    return int(rng.uniform(low, high) * SAMPLE_RATE)


def faded(piece: np.ndarray) -> np.ndarray:
    """A copy whose first and last 5 ms rise from silence and fall to it."""
    piece = piece.copy()
    length = min(_FADE, len(piece) // 2)
    ramp = np.linspace(0.0, 1.0, length, dtype=np.float32)
    piece[:length] *= ramp
    piece[len(piece) - length :] *= ramp[::-1]
    return piece


def insert(samples: np.ndarray, at: int, piece: np.ndarray) -> np.ndarray:
    """A copy with `piece` joined in at a sample; an empty piece is a bare cut."""
    return np.concatenate([faded(samples[:at]), piece, faded(samples[at:])])


def _repeated(
    samples: np.ndarray, start: int, quiet: np.ndarray, rng: np.random.Generator, seconds: tuple[float, float]
) -> tuple[np.ndarray, int]:
    """The copy, and at how many places it is joined."""
    onset = faded(samples[start : start + _draw(rng, *seconds)])
    turns: list[np.ndarray] = []
    for _ in range(int(rng.integers(2, 5))):
        turns += [onset * rng.uniform(0.7, 1.1), gap(quiet, _draw(rng, 0.04, 0.16), rng)]
    return insert(samples, start, np.concatenate(turns)), len(turns) + 1


def _held(samples: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """The copy, and where its held sound begins.

    Grains from around one moment, drawn at random and overlapped by half, hold the sound without a beat.
    """
    grain = _draw(rng, 0.03, 0.05) // 2 * 2
    centre = start + _draw(rng, 0.03, 0.08)
    return insert(samples, centre, _grains(samples, centre, grain, _draw(rng, 0.25, 0.6), rng)), centre


def _grains(samples: np.ndarray, centre: int, grain: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Sound (length,) made of grains from around one moment."""
    window = np.hanning(grain).astype(np.float32)
    held = np.zeros(length, dtype=np.float32)
    for first in range(0, len(held) - grain, grain // 2):
        source = min(max(0, centre + int(rng.integers(-grain // 2, grain // 2 + 1))), len(samples) - grain)
        held[first : first + grain] += samples[source : source + grain] * window
    return held


def _filler(samples: np.ndarray, quiet: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A drawn-out vowel of the speaker's own between two rests: that at the loudest moment, which is one."""
    centre = int(np.argmax(loudness(samples))) * _HOP
    grain = _draw(rng, 0.04, 0.06) // 2 * 2
    vowel = 0.6 * _grains(samples, centre, grain, _draw(rng, 0.25, 0.6), rng)
    before, after = (gap(quiet, _draw(rng, 0.08, 0.3), rng) for _ in range(2))
    return np.concatenate([before, faded(vowel), after])

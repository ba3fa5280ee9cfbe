"""What the libraries that read files give: sound in pieces, each at its own rate and with its own channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from speech.audio.limits import too_long

BLOCK_SECONDS = 1.0
# Floats are meant to lie between -1 and 1. Mixes go beyond that by some decibels; programs that convert integers
# without dividing them go beyond it by far.
_MOST_PEAK = 8.0
_ROUNDING_SECONDS = 1e-6  # of sums of seconds
_INTEGER_SCALES = (2.0**15, 2.0**23, 2.0**31)


class NotReadable(Exception):
    """A library does not read the file, or gives up on it."""


@dataclass(frozen=True)
class Piece:
    """Samples (n, channels), float32, at `rate` hertz. `section`: which of the recordings of a joined file it is of."""

    rate: int
    samples: np.ndarray
    section: int = 0

    @property
    def channels(self) -> int:
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def shape(self) -> tuple[int, int, int]:
        """What all pieces that are heard as one have in common."""
        return self.section, self.rate, self.channels


@dataclass
class Losses:
    """What of a recording is not heard. `cut_short`: its end is missing; `damaged`: something before its end does not
    decode."""

    cut_short: bool = False
    damaged: bool = False


@dataclass(frozen=True)
class Source:
    """One recording as a library reads it. `losses` is complete when `pieces` are exhausted.

    `announced_seconds`: how long the file says it is, None where it does not say or only guesses. `floats`: whether
    the file holds numbers that may lie beyond full scale. `keeps_time`: whether silence stands for what is lost.
    `codec`: container and codec, as the library calls them.
    """

    rate: int
    channels: int
    announced_seconds: float | None
    pieces: Iterator[Piece]
    losses: Losses = field(default_factory=Losses)
    floats: bool = False
    keeps_time: bool = False
    codec: str = ""


def within(pieces: Iterable[Piece], most_seconds: float) -> Iterator[Piece]:
    """The pieces; raises `AudioError` `too_long` with the first that is beyond so many seconds."""
    seconds = 0.0
    for piece in pieces:
        seconds += piece.seconds
        if seconds > most_seconds + _ROUNDING_SECONDS:
            raise too_long(most_seconds)
        yield piece


def float_scale(peak: float) -> float:
    """What samples of that greatest magnitude are to be multiplied by, so that none lies beyond full scale."""
    if not 1.0 < peak < float("inf"):
        return 1.0
    if peak <= _MOST_PEAK:
        return 1.0 / peak
    return 1.0 / next((scale for scale in _INTEGER_SCALES if peak <= scale), peak)

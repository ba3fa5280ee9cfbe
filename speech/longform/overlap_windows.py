"""All the sound of a recording in windows that overlap, so that nothing is missed where windows are stitched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from speech.audio.decode import SAMPLE_RATE, Levels
from speech.audio.other_sound import OtherSound
from speech.longform.cutter import Window

WINDOW_SECONDS = 20.0
OVERLAP_SECONDS = 4.0
_GRID = 1280  # samples; windows begin where frames of 20, 40 and 80 ms do


def windows(
    length: int, *, window_seconds: float = WINDOW_SECONDS, overlap_seconds: float = OVERLAP_SECONDS
) -> list[tuple[int, int]]:
    """Ranges of samples that cover `length` of them, each no longer than a window, neighbours overlapping by no less
    than `overlap_seconds`. The last is as long as the others, so that it has as much to go by.

    Raises ValueError where windows could not advance.
    """
    window, step = _geometry(window_seconds, overlap_seconds)
    if length <= window:
        return [(0, length)]
    last = _last(length, window)
    return [(start, start + window) for start in range(0, last, step)] + [(last, length)]


def _geometry(window_seconds: float, overlap_seconds: float) -> tuple[int, int]:
    """Samples of a window, and from one to the next."""
    window, overlap = int(window_seconds * SAMPLE_RATE), int(overlap_seconds * SAMPLE_RATE)
    step = (window - overlap) // _GRID * _GRID
    if step <= 0 or overlap < 0:
        raise ValueError(f"windows of {window_seconds:g} s that overlap by {overlap_seconds:g} s do not advance")
    return window, step


def _last(length: int, window: int) -> int:
    """Where the last window of a recording begins that is longer than one."""
    return -(-(length - window) // _GRID) * _GRID


class OverlapCutter:
    """Takes mono samples in pieces of any size and gives them in the windows of `windows`."""

    channel = None

    def __init__(self, window_seconds: float, overlap_seconds: float, other: OtherSound | None = None) -> None:
        """`other` looks for speech and silences what is none. Raises ValueError where windows could not advance."""
        self.levels = Levels()
        self._given = 0.0  # seconds of speech that were told with windows
        self._other = other
        self._window, self._step = _geometry(window_seconds, overlap_seconds)
        self._next = 0  # sample with which the next window begins, unless it is the last
        self._base = 0  # sample with which the last window given begins: the last of all may begin soon after it
        self._sound = np.empty(0, np.float32)  # from there on

    def add(self, samples: np.ndarray) -> Iterator[Window]:
        """Windows that the next samples (n,), 16 kHz, show not to be the last."""
        self.levels.add(samples)
        yield from self._windows(samples if self._other is None else self._other.add(samples))

    def finish(self) -> Iterator[Window]:
        """The last windows."""
        if self._other is not None:
            yield from self._windows(self._other.finish())
        length = self._base + len(self._sound)
        if length:
            yield self._cut(_last(length, self._window) if length > self._window else 0, length)

    @property
    def speech_seconds(self) -> float:
        """How long somebody speaks; 0 where nothing looks for speech."""
        return 0.0 if self._other is None else self._other.speech_seconds

    def _windows(self, samples: np.ndarray) -> Iterator[Window]:
        self._sound = np.concatenate([self._sound, samples])
        while self._base + len(self._sound) > self._next + self._window:
            self._sound = self._sound[self._next - self._base :].copy()
            self._base = self._next
            yield self._cut(self._base, self._base + self._window)
            self._next += self._step

    def _cut(self, start: int, end: int) -> Window:
        samples = self._sound[start - self._base : end - self._base].copy()
        spoken, self._given = self.speech_seconds - self._given, self.speech_seconds
        silenced = () if self._other is None else self._other.silenced(start, end)
        return Window(self.channel, start / SAMPLE_RATE, end / SAMPLE_RATE, samples, spoken, silenced)

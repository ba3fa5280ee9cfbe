"""All the sound of a long recording in windows that overlap, for what must miss nothing at a seam."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from speech.audio import SAMPLE_RATE, Levels
from speech.listening import Window


class OverlapCutter:
    """Takes mono samples in pieces of any size. Window k begins k * (`window_seconds` - `overlap_seconds`) after the
    beginning; the first that reaches the end is the last, and lasts longer than the overlap unless it is the only one.
    """

    side = None

    def __init__(self, window_seconds: float, overlap_seconds: float) -> None:
        """Raises ValueError where windows would not get on."""
        if not 0 <= overlap_seconds < window_seconds:
            raise ValueError(f"an overlap of {overlap_seconds:g} s does not fit windows of {window_seconds:g} s")
        self.levels = Levels()
        self.speech_seconds = 0.0  # nobody has looked for it
        self._window = round(window_seconds * SAMPLE_RATE)
        self._step = self._window - round(overlap_seconds * SAMPLE_RATE)
        self._first = 0  # sample with which the open window begins
        self._sound = np.empty(0, np.float32)  # from there on

    def add(self, samples: np.ndarray) -> Iterator[Window]:
        """Windows that are known not to be the last by the next samples (n,), 16 kHz."""
        self.levels.add(samples)
        self._sound = np.concatenate([self._sound, samples])
        while len(self._sound) > self._window:
            yield self._cut(self._window)
            self._first += self._step
            self._sound = self._sound[self._step :].copy()

    def finish(self) -> Iterator[Window]:
        """The last window."""
        if len(self._sound):
            yield self._cut(len(self._sound))

    def _cut(self, length: int) -> Window:
        start, samples = self._first / SAMPLE_RATE, self._sound[:length].copy()
        return Window(self.side, start, start + length / SAMPLE_RATE, samples)

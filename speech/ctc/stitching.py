"""Stitching: where two overlapping windows of a recording are joined, far from what they hear differently.

A window knows nothing of the sound beyond its edges. Near an edge it may hear half a word, and two windows may place
the same token a frame or two apart. A join between such a pair would double the token or lose it. So the join lies
after a frame that both windows give to the blank, or to the same token, and as far as possible from the nearest token,
before or after it, that only one of them hears.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from speech.ctc.decoding import Run, runs

# Agreement before and after the join beyond which more is worth nothing: half a second of 20 ms frames, a word. Of all
# places with so much, the middle of the overlap is best.
_ENOUGH_FRAMES = 25


def stitch(left: np.ndarray, right: np.ndarray, blank: int) -> int:
    """How many frames of the overlap are the left window's; the rest are the right one's.

    Both are log probabilities (frames, vocabulary) of the same frames. Where the windows agree in no frame, which does
    not happen in speech that a model understands, the join is the middle.
    """
    frames = len(left)
    one, other = _Tokens(left, blank), _Tokens(right, blank)
    best, join = None, frames // 2
    for frame in np.flatnonzero(one.token == other.token).tolist():
        agreed = min(_agreed_before(one, other, frame), _agreed_after(one, other, frame, frames), _ENOUGH_FRAMES)
        worth = (agreed, bool(one.token[frame] == blank), -abs(2 * frame + 1 - frames))
        if best is None or worth > best:
            best, join = worth, frame + 1
    return join


class Stitcher:
    """The emissions of a recording from those of its windows, one after the other; two of them are kept at most.

    Of two neighbours the frames before the join are the first's, those after it the second's.
    """

    def __init__(self, frame_samples: int, blank: int) -> None:
        """`frame_samples`: samples from one frame to the next."""
        self._frame_samples, self._blank = frame_samples, blank
        self._last: np.ndarray | None = None  # the latest window's emissions
        self._first = 0  # the recording's frame with which it begins
        self._reached = 0  # frames of the recording that were given

    def add(self, window: np.ndarray, start: int) -> np.ndarray:
        """The frames (frames, vocabulary) that are certain once it is known what the window that begins with sample
        `start` makes of its beginning."""
        last, first = self._last, self._first
        following = start // self._frame_samples
        self._last, self._first = window, following
        if last is None:
            return window[:0]
        begin = max(self._reached, following)  # a window may reach over more than its neighbour
        common = max(0, min(first + len(last) - begin, len(window) - (begin - following)))
        left = last[begin - first : begin - first + common]
        right = window[begin - following : begin - following + common]
        cut = begin + stitch(left, right, self._blank)
        certain = last[self._reached - first : cut - first]
        self._reached = cut
        return certain

    def finish(self) -> np.ndarray:
        """The frames after those that were given: the last window's. Raises ValueError where there was none."""
        if self._last is None:
            raise ValueError("a recording has one window at least")
        return self._last[self._reached - self._first :]


class _Tokens:
    """One window's tokens in the overlap."""

    def __init__(self, emissions: np.ndarray, blank: int) -> None:
        self.token = emissions.argmax(1)  # (frames,)
        self.runs = [run for run in runs(emissions) if run.token != blank]
        starts = [run.start for run in self.runs]
        self.begun = np.searchsorted(starts, np.arange(len(emissions)), side="right")  # (frames,): runs begun by then


def _agreed_before(one: _Tokens, other: _Tokens, frame: int) -> int:
    """Frames up to and with `frame` in which both hear the same tokens, at most to the begin of the overlap."""
    heard, others = one.runs[: int(one.begun[frame])], other.runs[: int(other.begun[frame])]
    differing = _first_unlike(heard[::-1], others[::-1])
    return frame + 1 - max((run.end for run in differing), default=0)


def _agreed_after(one: _Tokens, other: _Tokens, frame: int, frames: int) -> int:
    """Frames after `frame` in which both hear the same tokens, at most to the end of the overlap."""
    differing = _first_unlike(one.runs[int(one.begun[frame]) :], other.runs[int(other.begun[frame]) :])
    return min((run.start for run in differing), default=frames) - frame - 1


def _first_unlike(heard: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """The first pair of runs that are not of the same token; one run where a list has no more."""
    for pair in zip_longest(heard, others):
        if pair[0] is None or pair[1] is None or pair[0].token != pair[1].token:
            return [run for run in pair if run is not None]
    return []

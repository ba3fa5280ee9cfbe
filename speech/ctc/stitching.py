"""Where two windows of a recording are joined: in their overlap, far from what they hear differently.

A window knows nothing of what lies beyond its edges, so near them it may hear half a word, and two windows may place
the same token a frame or two apart. Cut between such a pair, a token would be doubled or lost. So the seam lies in a
frame that both give to the blank (or to the same token), and to both sides of which, as far as possible, both hear the
same tokens one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from speech.ctc.decoding import Run, runs

# Of agreement to each side, beyond which more is worth nothing: half a second of 20 ms frames, a word. From there on
# the seam may be chosen by where it lies.
_ENOUGH_FRAMES = 25


def seam(left: np.ndarray, right: np.ndarray, blank: int) -> int:
    """How many frames of the overlap are the left window's; the rest are the right one's.

    Both are log probabilities (frames, vocabulary) of the same frames. Where the windows agree in no frame, which
    speech that a model understands does not give, the seam is the middle.
    """
    frames = len(left)
    one, other = _Side(left, blank), _Side(right, blank)
    best, where = None, frames // 2
    for frame in np.flatnonzero(one.token == other.token).tolist():
        agreed = min(_agreed_before(one, other, frame), _agreed_after(one, other, frame, frames), _ENOUGH_FRAMES)
        worth = (agreed, bool(one.token[frame] == blank), -abs(2 * frame + 1 - frames))
        if best is None or worth > best:
            best, where = worth, frame + 1
    return where


class _Side:
    """One window's tokens in the overlap: that of each frame, the runs that are no blank, and how many of them have
    begun by each frame."""

    def __init__(self, emissions: np.ndarray, blank: int) -> None:
        self.token = emissions.argmax(1)
        self.runs = [run for run in runs(emissions) if run.token != blank]
        self.begun = np.searchsorted([run.start for run in self.runs], np.arange(len(emissions)), side="right")


def _agreed_before(one: _Side, other: _Side, frame: int) -> int:
    """Frames up to `frame` and with it in which both hear the same tokens; the overlap's begin ends them, too."""
    heard, others = one.runs[: int(one.begun[frame])], other.runs[: int(other.begun[frame])]
    differing = _first_unlike(heard[::-1], others[::-1])
    return frame + 1 - max((run.end for run in differing), default=0)


def _agreed_after(one: _Side, other: _Side, frame: int, frames: int) -> int:
    """Frames after `frame` in which both hear the same tokens; the overlap's end ends them, too."""
    differing = _first_unlike(one.runs[int(one.begun[frame]) :], other.runs[int(other.begun[frame]) :])
    return min((run.start for run in differing), default=frames) - frame - 1


def _first_unlike(heard: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """The first runs, of both or of the longer list, that are not of the same token."""
    for pair in zip_longest(heard, others):
        if pair[0] is None or pair[1] is None or pair[0].token != pair[1].token:
            return [run for run in pair if run is not None]
    return []

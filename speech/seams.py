"""Where two windows of a recording are joined: in their overlap, where both hear the same around the seam.

A window knows nothing of what lies beyond its edges, so near them it may hear half a word, and two windows may place
the same token a frame or two apart. Cut between such a pair, a token would be doubled or lost. So the seam lies in a
frame that both give to the blank (or to the same token), and before and after which both hear the same tokens.
"""

from __future__ import annotations

import numpy as np

from speech.ctc import Run, runs

_TOKENS = 4  # to each side of the seam are compared; more tell hardly more, as they must follow one another


def seam(left: np.ndarray, right: np.ndarray, blank: int) -> int:
    """How many frames of the overlap are the left window's; the rest are the right one's.

    Both are log probabilities (frames, vocabulary) of the same frames. Where the windows agree in no frame, which
    speech of known words does not give, the seam is the middle.
    """
    frames = len(left)
    if frames == 0:
        return 0
    lefts, rights = _Side(runs(left), blank, frames), _Side(runs(right), blank, frames)
    agreed = np.flatnonzero(left.argmax(1) == right.argmax(1)).tolist()
    middle = (frames - 1) / 2
    best, where = None, frames // 2
    for frame in agreed:
        silent = bool(lefts.token[frame] == blank)
        before = _alike(lefts.before(frame), rights.before(frame))
        after = _alike(lefts.after(frame), rights.after(frame))
        worth = (min(before, after), before + after, silent, -abs(frame - middle))
        if best is None or worth > best:
            best, where = worth, frame + 1
    return where


def _alike(one: list[int], other: list[int]) -> int:
    """How many tokens from the seam on are the same, up to `_TOKENS`; all of them where neither has any others."""
    for count, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return count
    return _TOKENS if len(one) == len(other) else min(len(one), len(other))


class _Side:
    """One window's tokens in the overlap."""

    def __init__(self, heard: list[Run], blank: int, frames: int) -> None:
        tokens = [run for run in heard if run.token != blank]
        self._ids = [run.token for run in tokens]
        self.token = np.empty(frames, dtype=int)
        for run in heard:
            self.token[run.start : run.end] = run.token
        self._begun = np.searchsorted([run.start for run in tokens], np.arange(frames), side="right")

    def before(self, frame: int) -> list[int]:
        """The tokens begun up to a frame, the last first."""
        begun = int(self._begun[frame])
        return self._ids[max(0, begun - _TOKENS) : begun][::-1]

    def after(self, frame: int) -> list[int]:
        """The tokens that begin after a frame, the first first."""
        begun = int(self._begun[frame])
        return self._ids[begun : begun + _TOKENS]

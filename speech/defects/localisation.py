"""Localisation: where in a clip a defect is heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

HEARD_FROM = 0.1  # where a bundle does not say from how much on a frame belongs to a place
GAP_SECONDS = 0.06  # two stretches nearer than this are one place
LEAST_SECONDS = 0.08  # shorter stretches are noise
SHARE_POWER = 0.25  # attention weighs one frame a hundred times another, where both have the defect
_SMOOTHED_FRAMES = 3
_SMOOTHED_EVIDENCE = 5


@dataclass(frozen=True)
class Place:
    """A stretch from `start` to `end` (seconds) where `defect` is heard.

    `score` is the stretch's share of all that is heard of the defect in the clip, 0 to 1.
    """

    start: float
    end: float
    defect: str
    score: float


def heard_in(evidence: np.ndarray, scores: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """How much of each class is heard in each frame, 0 to 1; all arrays are (frames, classes), with the same last
    classes.

    `evidence` is what each frame adds to a class's logit, and `scores` is the frame's own logit of the class; where
    classes are exclusive, both are relative to no defect. `sounding` is the probability that one of the class's marker
    letters sounds near the frame. A frame counts by its own logit, and less where the clip's logit does not rest on it.
    """
    beyond = np.clip(_smooth(evidence, _SMOOTHED_EVIDENCE), 0.0, None)
    share = beyond / np.maximum(beyond.max(0, initial=0.0), 1e-9)
    likely = np.exp(-np.logaddexp(0.0, -scores))
    # Squared: the edges of a letter are not its place.
    return _smooth(share**SHARE_POWER * likely * sounding**2, _SMOOTHED_FRAMES)


def _smooth(values: np.ndarray, frames: int) -> np.ndarray:
    """The mean over so many frames around each frame, (frames, classes)."""
    padded = np.pad(values, ((frames // 2, frames // 2), (0, 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, frames, axis=0).mean(-1) if len(values) else values


def find_places(heard: np.ndarray, frame_seconds: float, defect: str, least: float = HEARD_FROM) -> list[Place]:
    """Places of one class in a clip, in order of time: where at least `least` of it is `heard` (frames,)."""
    total = max(float(heard.sum()), 1e-9)
    return [
        Place(
            round(first * frame_seconds, 3),
            round(last * frame_seconds, 3),
            defect,
            round(float(heard[first:last].sum()) / total, 4),
        )
        for first, last in stretches(heard, frame_seconds, least)
    ]


def stretches(heard: np.ndarray, frame_seconds: float, least: float) -> Iterator[tuple[int, int]]:
    """First and one past the last frame of each stretch in which at least `least` is `heard` (frames,)."""
    gap, shortest = round(GAP_SECONDS / frame_seconds), LEAST_SECONDS / frame_seconds
    frames = np.flatnonzero(heard >= least)
    for run in np.split(frames, np.flatnonzero(np.diff(frames) > gap + 1) + 1):
        if len(run) and run[-1] + 1 - run[0] >= shortest - 1e-6:
            yield int(run[0]), int(run[-1]) + 1

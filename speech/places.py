"""Where in a clip a defect is heard: the stretches of frames that speak most for its class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A letter's defect may sound at every one of its letters, of which attention weighs some far above others.
LETTER_REACH = 0.03
REACH = 0.1  # of the strongest frame's evidence, under which a frame belongs to no place
GAP_SECONDS = 0.06  # two stretches nearer than this are one place
LEAST_SECONDS = 0.04  # shorter stretches are noise
SMOOTHED_FRAMES = 5


@dataclass(frozen=True)
class Place:
    """A stretch from `start` to `end` (seconds) where `defect` is heard; `score` is its share of what speaks for it,
    0 to 1, all places of a defect together at most 1."""

    start: float
    end: float
    defect: str
    score: float


def find_places(evidence: np.ndarray, frame_seconds: float, defect: str, reach: float = REACH) -> list[Place]:
    """Places of one class in a clip, in order of time.

    `evidence` (frames,) is how much each frame adds to the class's logit, among exclusive classes beyond the logit of
    no defect. Only what speaks for the class counts; where nothing does, there is no place.
    """
    if not len(evidence):
        return []
    kernel = np.ones(SMOOTHED_FRAMES) / SMOOTHED_FRAMES
    smooth = np.clip(np.convolve(evidence, kernel, mode="same"), 0.0, None)
    speaks = np.clip(evidence, 0.0, None)
    total = speaks.sum()
    if smooth.max() <= 0.0:
        return []
    places = []
    for first, last in _stretches(smooth >= reach * smooth.max(), round(GAP_SECONDS / frame_seconds)):
        own = first + np.flatnonzero(speaks[first:last])  # smoothing spreads a place to both sides
        if len(own):
            first, last = int(own[0]), int(own[-1]) + 1
        if (last - first) * frame_seconds >= LEAST_SECONDS:
            score = float(speaks[first:last].sum() / total)
            places.append(
                Place(round(first * frame_seconds, 3), round(last * frame_seconds, 3), defect, round(score, 4))
            )
    return places


def _stretches(chosen: np.ndarray, gap: int) -> list[tuple[int, int]]:
    """First and one past the last frame of each run of chosen frames; runs at most `gap` apart are one."""
    stretches: list[tuple[int, int]] = []
    for frame in np.flatnonzero(chosen).tolist():
        if stretches and frame - stretches[-1][1] <= gap:
            stretches[-1] = (stretches[-1][0], frame + 1)
        else:
            stretches.append((frame, frame + 1))
    return stretches

"""From how much on a frame is a place: chosen on clips that are known to have none."""

from __future__ import annotations

import numpy as np

from pipeline.defects.place_thresholds import LETTER_WRONG_A_MINUTE, WRONG_A_MINUTE, choose_heard_from
from speech.defects.localisation import stretches

CLASSES = ("none", "burr", "stutter")
FRAME_SECONDS = 0.02
LETTERS = {"burr": ("р",)}


def clips(count: int, seed: int = 0) -> list[np.ndarray]:
    """A minute each, with bumps of all heights in every class."""
    draw = np.random.default_rng(seed)
    made = np.zeros((count, 3000, len(CLASSES)))
    for first in range(0, 3000, 30):
        made[:, first : first + 8] = draw.uniform(0, 1, (count, 1, len(CLASSES)))
    return list(made)


def places_a_minute(heard: list[np.ndarray], index: int, least: float) -> float:
    return sum(len(list(stretches(curve[:, index], FRAME_SECONDS, least))) for curve in heard) / len(heard)


def test_clips_without_a_defect_show_as_many_places_as_are_allowed() -> None:
    heard, truth = clips(20), np.zeros((20, 3), dtype=bool)
    chosen = choose_heard_from(heard, truth, CLASSES, FRAME_SECONDS, LETTERS)
    assert set(chosen) == {"burr", "stutter"}
    assert 0.8 * LETTER_WRONG_A_MINUTE < places_a_minute(heard, 1, chosen["burr"]) <= LETTER_WRONG_A_MINUTE
    assert 0.8 * WRONG_A_MINUTE < places_a_minute(heard, 2, chosen["stutter"]) <= WRONG_A_MINUTE


def test_clips_with_the_defect_have_no_say() -> None:
    heard, truth = clips(20), np.zeros((20, 3), dtype=bool)
    before = choose_heard_from(heard, truth, CLASSES, FRAME_SECONDS, LETTERS)
    loud = [curve * 0 + 1 for curve in clips(5)]
    has = np.zeros((5, 3), dtype=bool)
    has[:, 1:] = True
    after = choose_heard_from([*heard, *loud], np.vstack([truth, has]), CLASSES, FRAME_SECONDS, LETTERS)
    assert after == before


def test_a_defect_that_all_clips_have_or_that_is_never_heard() -> None:
    truth = np.zeros((4, 3), dtype=bool)
    truth[:, 1] = True
    silent = [np.zeros((3000, 3))] * 4
    assert choose_heard_from(silent, truth, CLASSES, FRAME_SECONDS, LETTERS) == {"stutter": 0.001}
    assert choose_heard_from([], truth[:0], CLASSES, FRAME_SECONDS, LETTERS) == {}

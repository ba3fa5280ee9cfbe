"""The shortcut audit finds what tells the classes, and does not find what does not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.shortcuts import FEWEST_CLIPS, audit

CLIPS, SPEAKERS = 240, 12
RNG = np.random.default_rng(1)
LABELS = np.arange(CLIPS) % 4
TRUTH = LABELS[:, None] == np.arange(4)
UNITS = [f"speaker {index // (CLIPS // SPEAKERS)}" for index in range(CLIPS)]
TRAINING = np.arange(CLIPS) < CLIPS * 2 // 3
NOISE = RNG.normal(size=(CLIPS, 1))


def test_what_tells_the_class_is_found_and_what_does_not_is_not() -> None:
    longer = NOISE + 3.0 * (LABELS == 3)[:, None]
    found = {row.name: row for row in audit({"duration": longer, "noise": NOISE}, TRUTH, TRAINING, UNITS)}
    assert found["duration"].tells
    assert not found["noise"].tells
    assert found["duration"].macro_f1["value"] > found["noise"].macro_f1["value"] + 0.1
    assert found["noise"].chance < found["noise"].chance_high < 0.5


def test_noise_alone_is_seldom_taken_for_a_shortcut() -> None:
    rng = np.random.default_rng(2)
    told = [audit({"noise": rng.normal(size=(CLIPS, 2))}, TRUTH, TRAINING, UNITS)[0].tells for _ in range(10)]
    assert sum(told) <= 1


def test_a_property_of_one_judging_speaker_is_no_proof() -> None:
    """Every clip of a class is one speaker's: whether the next speaker has it too, nobody knows."""
    one = ["only" for _ in range(CLIPS)]
    (row,) = audit({"duration": LABELS[:, None].astype(float)}, TRUTH, TRAINING, one)
    assert row.macro_f1 == {"value": 1.0, "low": None, "high": None}
    assert not row.tells


def test_several_defects_at_once() -> None:
    several = np.stack([LABELS >= 2, LABELS % 2 == 1], axis=1)
    found = audit({"level": several.astype(float)}, several, TRAINING, UNITS, exclusive=False)
    assert found[0].tells
    assert found[0].macro_f1["value"] == pytest.approx(1.0)


def test_unknown_values_are_no_obstacle() -> None:
    values = LABELS[:, None].astype(float)
    values[::5] = np.nan
    (row,) = audit({"speaker": values}, TRUTH, TRAINING, UNITS)
    assert row.tells


def test_what_is_the_same_everywhere_is_left_out() -> None:
    same, unknown = np.ones((CLIPS, 2)), np.full((CLIPS, 1), np.nan)
    assert audit({"rate": same, "speaker": unknown}, TRUTH, TRAINING, UNITS) == []


@pytest.mark.parametrize("training", [np.arange(CLIPS) < FEWEST_CLIPS - 1, np.arange(CLIPS) > FEWEST_CLIPS - 2])
def test_too_few_clips_tell_nothing(training: np.ndarray) -> None:
    assert audit({"noise": NOISE}, TRUTH, training, UNITS) == []


def test_one_class_alone_tells_nothing() -> None:
    alone = np.zeros_like(TRUTH)
    alone[:, 0] = True
    assert audit({"noise": NOISE}, alone, TRAINING, UNITS) == []

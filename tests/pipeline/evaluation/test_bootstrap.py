from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import paired_difference, resamples, with_risk

CLASSES = ("none", "burr")
TRUTH = ["none", "burr"] * 20
SPEAKERS = [f"s{index // 4}" for index in range(40)]


def compared_with(ours: list[str], theirs: list[str], units: list[str], margin: float) -> dict[str, Any]:
    """What the gate is told of a candidate beside a champion."""
    truth, by_us, by_them = ([(label,) for label in labels] for labels in (TRUTH, ours, theirs))
    found = paired_difference(truth, by_us, by_them, units, CLASSES)
    return with_risk(found.as_dict(), found.worse_by, margin)


def test_whole_units_are_drawn() -> None:
    for draw in resamples(["a", "a", "b", "c"])[:50]:
        counts = np.bincount(draw, minlength=4)
        assert counts[0] == counts[1]
        assert counts[0] + counts[2] + counts[3] == 3


def test_the_same_answers_differ_by_nothing() -> None:
    said = ["none"] * 3 + TRUTH[3:]
    compared = compared_with(said, said, SPEAKERS, margin=0.0)
    assert compared["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert compared["risk"] == 0.0
    assert compared["units"] == 10


def test_what_is_worse_for_every_speaker_is_a_sure_risk() -> None:
    swap = {"none": "burr", "burr": "none"}
    worse = [swap[label] if index % 4 == 0 else label for index, label in enumerate(TRUTH)]
    compared = compared_with(worse, TRUTH, SPEAKERS, margin=0.05)
    assert compared["risk"] == 1.0
    assert compared["difference"]["high"] < -0.05
    assert compared_with(TRUTH, worse, SPEAKERS, margin=0.05)["risk"] == 0.0


def test_one_speakers_failure_is_not_sure() -> None:
    swap = {"none": "burr", "burr": "none"}
    worse = [swap[label] if index < 4 else label for index, label in enumerate(TRUTH)]
    risk = compared_with(worse, TRUTH, SPEAKERS, margin=0.01)["risk"]
    assert 0.5 < risk < 0.8  # the speaker is drawn with probability 1 - 0.9**10 = 0.65


@pytest.mark.parametrize(("margin", "risk"), [(0.01, 1.0), (1.0, 0.0)])
def test_one_speaker_alone_decides_by_the_clips_as_they_are(margin: float, risk: float) -> None:
    compared = compared_with(["none"] * 40, TRUTH, ["only"] * 40, margin=margin)
    assert compared["risk"] == risk
    assert compared["difference"]["low"] is None


def test_where_nothing_was_compared_no_risk_is_told() -> None:
    assert with_risk({"bundle": None, "left_out": "none"}, (), 0.01) == {"bundle": None, "left_out": "none"}

"""Figures of how far probabilities can be believed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.defects.pictures import reliability_picture, risk_coverage_picture
from pipeline.evaluation.reliability import (
    bins,
    brier,
    ece_of_exact,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
    resamples,
    risk_coverage,
    verdict_counts,
)
from speech.defects.calibration import Calibration, Verdict
from speech.defects.diagnose import Diagnosis
from tests.pipeline.defects.test_probability_fit import SURE, outcomes


def certain(confidence: np.ndarray) -> np.ndarray:
    """Probabilities of two classes, the first the most probable."""
    return np.stack([confidence, 1 - confidence], axis=1)


def test_a_calibration_that_undoes_the_fault_improves_every_figure() -> None:
    logits, truth, units = outcomes(400)
    figures = reliability(logits, truth, units, Calibration(SURE, unsure_below=0.6))
    assert (figures["clips"], figures["units"]) == (400, 20)
    for name in ("ece", "brier", "nll"):
        assert figures["after"][name]["value"] < figures["before"][name]["value"]
        assert figures["change"][name]["high"] < 0  # certainly better
        assert figures["before"][name]["low"] < figures["before"][name]["value"] < figures["before"][name]["high"]
    assert 0 < figures["accepted"]["accepted"] < 400
    json.dumps(figures, allow_nan=False)


def test_bins_are_of_equal_mass_and_hold_ten_clips_or_all() -> None:
    generator = np.random.default_rng(0)
    for clips, number in ((7, 1), (57, 5), (1000, 10)):
        rows = bins(certain(generator.uniform(0.5, 1, clips)), np.zeros(clips, dtype=int))
        assert len(rows) == number
        assert sum(row["clips"] for row in rows) == clips
        assert min(row["clips"] for row in rows) >= min(10, clips)
        assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)


def test_the_errors_are_those_of_their_definitions() -> None:
    probabilities, truth = certain(np.array([0.8] * 10 + [0.6] * 10)), np.array([0] * 5 + [1] * 5 + [0] * 10)
    assert expected_calibration_error(probabilities, truth) == pytest.approx((0.3 + 0.4) / 2)
    assert brier(probabilities, truth) == pytest.approx((5 * 0.08 + 5 * 1.28 + 10 * 0.32) / 20)
    assert negative_log_likelihood(probabilities[:1], truth[:1]) == pytest.approx(-np.log(0.8))
    assert np.isfinite(negative_log_likelihood(certain(np.array([1.0])), np.array([1])))


def test_exact_probabilities_show_an_error_that_fades_with_clips() -> None:
    generator = np.random.default_rng(3)
    few, many = (certain(generator.uniform(0.6, 0.95, clips)) for clips in (100, 20_000))
    truth = (generator.random(len(many)) > many[:, 0]).astype(int)
    assert 0.04 < ece_of_exact(few)["mean"] < ece_of_exact(few)["high"] < 0.15
    assert ece_of_exact(many)["high"] < 0.012
    assert expected_calibration_error(many, truth) < ece_of_exact(many)["high"] * 1.5
    assert expected_calibration_error(many, np.zeros(len(many), dtype=int)) > 0.1  # all right, none said to be certain


def test_risk_falls_with_coverage_where_confidence_means_something() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.7])
    points = risk_coverage(confidence, np.array([True, True, False, True]))
    assert points == [
        {"threshold": 0.9, "coverage": 0.25, "risk": 0.0},
        {"threshold": 0.8, "coverage": 0.5, "risk": 0.0},
        {"threshold": 0.7, "coverage": 1.0, "risk": 0.25},
    ]
    many = risk_coverage(np.linspace(0, 1, 500), np.ones(500, dtype=bool))
    assert len(many) == 50
    assert many[-1]["coverage"] == 1.0


def test_speakers_are_drawn_whole() -> None:
    draws = resamples(["a", "b", "a", "c"])
    assert len({tuple(sorted(draw)) for draw in draws}) > 5
    for draw in draws:
        assert np.count_nonzero(draw == 0) == np.count_nonzero(draw == 2)
    logits, truth, _ = outcomes(30)
    alone = reliability(logits, truth, ["a"] * 30, Calibration())
    assert alone["after"]["ece"]["low"] is None
    assert alone["change"]["nll"]["value"] == 0


def test_without_clips_there_is_nothing_to_measure() -> None:
    with pytest.raises(ValueError, match="no clip"):
        reliability(np.zeros((0, 4)), np.zeros(0, dtype=int), [], Calibration())


def test_verdicts_are_counted_beside_the_truth() -> None:
    def said(word: Verdict) -> Diagnosis:
        return Diagnosis(("none", "burr"), (0.5, 0.5), (0.0, 0.0), {}, 1.0, {"burr": word})

    words = [Verdict.yes, Verdict.yes, Verdict.not_assessable]
    counts = verdict_counts([said(word) for word in words], [("burr",), ("none",), ("burr",)])["burr"]
    assert counts["yes"] == {"clips": 2, "with_defect": 1}
    assert counts["not_assessable"] == {"clips": 1, "with_defect": 1}
    assert counts["no"] == counts["unsure"] == {"clips": 0, "with_defect": 0}


def test_pictures_are_drawn_also_where_nothing_is_accepted() -> None:
    logits, truth, units = outcomes(30)
    for threshold in (0.0, 1.0):
        figures = reliability(logits, truth, units, Calibration(2.0, unsure_below=threshold))
        for png in (
            reliability_picture(figures["bins"]),
            risk_coverage_picture(figures["risk_coverage"], figures["accepted"]),
        ):
            assert png.startswith(b"\x89PNG")
            assert len(png) < 60_000

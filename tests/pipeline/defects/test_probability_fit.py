"""Fitting a calibration, choosing when to be unsure, and certifying it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.defects.probability_fit import calibrate, choose_threshold, fit
from pipeline.defects.settings import CalibrationSettings
from pipeline.evaluation.accepted_errors import accepted_metrics, certification, error_bound
from speech.defects.calibration import IDENTITY, Calibration

SURE = 4.0  # how much too certain the made-up model is


def outcomes(clips: int, seed: int = 0, speakers: int = 20) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits `SURE` times as large as honest ones, the truth drawn from the honest ones, and speakers in turn."""
    generator = np.random.default_rng(seed)
    honest = 1.5 * generator.standard_normal((clips, 4))
    truth = np.array([generator.choice(4, p=row) for row in IDENTITY.apply(honest)])
    return honest * SURE, truth, [f"speaker {index % speakers}" for index in range(clips)]


def nll(calibration: Calibration, logits: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(calibration.apply(logits)[np.arange(len(truth)), truth]).mean())


def test_the_temperature_that_was_taken_away_is_found() -> None:
    logits, truth, _ = outcomes(2000)
    temperature, bias = fit(logits, truth)
    assert temperature == pytest.approx(SURE, rel=0.1)
    assert bias == pytest.approx((0, 0, 0, 0), abs=0.15)
    new_logits, new_truth, _ = outcomes(500, seed=1)
    fitted = Calibration(temperature, bias)
    assert nll(fitted, new_logits, new_truth) < 0.7 * nll(IDENTITY, new_logits, new_truth)


def test_the_fit_is_where_the_penalised_likelihood_is_least() -> None:
    logits, truth, _ = outcomes(200)
    logits[:, 1] += 4.0
    temperature, bias = fit(logits, truth)

    def penalised(t: float, b: np.ndarray) -> float:
        return len(truth) * nll(Calibration(t, tuple(b)), logits, truth) + (np.log(t) ** 2 + (b**2).sum() / 0.09) / 2

    best = penalised(temperature, np.array(bias))
    for step in (-0.02, 0.02):
        assert penalised(temperature * (1 + step), np.array(bias)) > best
        for index in range(4):
            assert penalised(temperature, np.array(bias) + step * np.eye(4)[index]) > best
    assert bias[1] < -0.1  # towards undoing the shift


def test_few_clips_of_a_class_give_no_bias_and_a_temperature_near_one() -> None:
    logits, truth, _ = outcomes(2000)
    rare = np.flatnonzero(truth == 3)[:19]
    kept = np.concatenate([np.flatnonzero(truth != 3), rare])
    assert fit(logits[kept], truth[kept])[1] == ()
    temperature, bias = fit(logits[:3], truth[:3])
    assert bias == ()
    assert 1 / SURE < temperature < SURE


def test_a_model_that_is_always_right_gets_a_finite_temperature() -> None:
    truth = np.arange(40) % 4
    temperature, _ = fit(1000.0 * np.eye(4)[truth], truth)
    assert 0.05 <= temperature <= 20


def test_the_bound_is_the_exact_binomial_one() -> None:
    assert error_bound(0, 59) == pytest.approx(0.0495, abs=1e-4)  # 59 accepted without error certify 5%
    assert error_bound(0, 20) == pytest.approx(0.139, abs=1e-3)
    assert binom.cdf(3, 40, error_bound(3, 40)) == pytest.approx(0.05)
    assert error_bound(0, 0) == 1.0
    assert error_bound(5, 5) == 1.0


def test_the_threshold_is_the_lowest_that_keeps_the_error() -> None:
    confidence = np.linspace(0.4, 0.99, 60)
    right = confidence > 0.55
    threshold = choose_threshold(confidence, right, 0.1)
    accepted = confidence >= threshold
    assert error_bound(int((accepted & ~right).sum()), int(accepted.sum())) <= 0.1
    lower = confidence >= confidence[~accepted].max()
    assert error_bound(int((lower & ~right).sum()), int(lower.sum())) > 0.1
    assert not np.isclose(confidence, threshold, atol=1e-4).any()


def test_where_too_few_clips_could_certify_the_likely_threshold_is_taken() -> None:
    confidence = np.linspace(0.88, 0.99, 12)
    right = np.array([False] * 4 + [True] * 8)
    assert 0.9 < choose_threshold(confidence, right, 0.1) < 0.92
    assert choose_threshold(confidence, ~right, 0.1) == 1.0  # the surest are wrong: nothing is judged outright
    assert choose_threshold(confidence[-4:], np.ones(4, dtype=bool), 0.1) == 1.0  # four right ones prove little
    assert choose_threshold(confidence - 0.3, right, 0.1) == 1.0  # right by luck, by their own account


def test_accepted_clips_and_speakers_are_counted() -> None:
    confidence, right = np.array([0.9, 0.8, 0.7, 0.2]), np.array([True, False, True, False])
    figures = accepted_metrics(confidence, right, ["a", "a", "b", "c"], 0.7)
    assert (figures["clips"], figures["accepted"], figures["errors"]) == (4, 3, 1)
    assert (figures["units"], figures["units_with_error"]) == (2, 1)
    assert figures["error_at_most"] == error_bound(1, 3)


def test_the_threshold_holds_on_others_and_they_certify_it() -> None:
    fitted = calibrate(*outcomes(1000), {}, CalibrationSettings(max_accepted_error=0.2))
    assert fitted.summary["fitted"] == "temperature and bias"
    assert fitted.summary["chosen_on"]["error_at_most"] <= 0.2
    logits, truth, units = outcomes(2000, seed=9)
    probabilities = fitted.calibration.apply(logits)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    accepted = accepted_metrics(confidence, right, units, fitted.calibration.unsure_below)
    assert 0.1 < accepted["accepted"] / 2000 < 1
    found = certification(accepted, 0.25)  # of the threshold that was chosen for 0.2, about half of others' samples do
    assert found["certified"]
    assert found["note"].startswith(f"certified for 0.25: of {accepted['accepted']} test clips judged outright")


def test_those_that_chose_certify_nothing() -> None:
    fitted = calibrate(*outcomes(1000), {}, CalibrationSettings(max_accepted_error=0.2))
    assert not any("certified" in name for name in fitted.summary)
    assert "certified" not in fitted.summary["note"]


def test_few_clips_do_not_certify_and_it_says_so() -> None:
    settings = CalibrationSettings(max_accepted_error=0.1, fewest_letters=0.7)
    fitted = calibrate(*outcomes(30), {"burr": ("р",)}, settings)
    assert (fitted.calibration.fewest_letters, fitted.calibration.letters) == (0.7, {"burr": ("р",)})
    right = np.ones(12, dtype=bool)
    found = certification(accepted_metrics(np.full(12, 0.9), right, ["a"] * 12, 0.5), 0.1)
    assert not found["certified"]
    assert found["note"].startswith("not certified for 0.1: of 12 test clips judged outright, 0 are wrong")


def test_without_validation_clips_nothing_is_changed() -> None:
    fitted = calibrate(np.zeros((0, 4)), np.zeros(0, dtype=int), [], {}, CalibrationSettings())
    assert fitted.calibration == Calibration(fewest_letters=0.5)
    assert "no labelled clip" in fitted.summary["note"]

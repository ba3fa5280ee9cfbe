"""Calibration from the validation speakers: temperature, bias, and how probable is probable enough.

The test split has no part in it. Nothing is certified here: the validation speakers have chosen the checkpoint and the
threshold, and the model that serves may have learned from them. `pipeline.evaluation` certifies on the test speakers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from pipeline.defects.settings import CalibrationSettings
from pipeline.evaluation.accepted_errors import accepted_metrics, error_bound
from speech.defects.calibration import Calibration
from speech.defects.multilabel import AnyCalibration

_TEMPERATURE_SPREAD = 1.0  # prior of log temperature: a factor of e either way is nothing odd
_BIAS_SPREAD = 0.3  # prior of a bias: classes are to be moved little, since their shares among patients are unknown
_CLIPS_FOR_BIAS = 20  # clips of the rarest class; from fewer a class's bias is noise
_FEWEST_ACCEPTED = 5  # clips; a threshold that rests on fewer is chance
_LARGEST_LOG = 3.0  # of the temperature: factors beyond 20 stand for a model that does not know at all


@dataclass(frozen=True)
class Fitted:
    """A calibration, and how it came about, JSON-able."""

    calibration: AnyCalibration
    summary: dict[str, Any]


def calibrate(
    logits: np.ndarray,
    truth: np.ndarray,
    units: Sequence[str],
    letters: Mapping[str, tuple[str, ...]],
    settings: CalibrationSettings,
) -> Fitted:
    """Fit to `logits` (clips, classes) of the validation split, whose classes are `truth` (clips,), as indices.

    `units` names what a clip shares its voice with (its speaker, or the clip itself where that is unknown); `letters`
    are the classes' marker letters. Without clips nothing is calibrated, and the summary says so.
    """
    limit = {"max_accepted_error": settings.max_accepted_error}
    if not len(truth):
        untouched = Calibration(fewest_letters=settings.fewest_letters, letters=letters)
        note = "not calibrated: the validation split holds no labelled clip"
        return Fitted(untouched, {"clips": 0, "units": 0, "fitted": "nothing", "note": note} | limit)
    temperature, bias = fit(logits, truth)
    scaled = Calibration(temperature, bias)
    probabilities = scaled.apply(logits)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    threshold = choose_threshold(confidence, right, settings.max_accepted_error)
    chosen_on = accepted_metrics(confidence, right, units, threshold)
    return Fitted(
        Calibration(temperature, bias, threshold, settings.fewest_letters, letters),
        {
            "clips": len(truth),
            "units": len(set(units)),
            "fitted": "temperature and bias" if bias else "temperature",
            "chosen_on": chosen_on,
            "note": f"at the threshold that they chose, {chosen_on['accepted']} of {len(truth)} validation clips are "
            f"judged outright, {chosen_on['errors']} of these wrongly",
        }
        | limit,
    )


def fit(logits: np.ndarray, truth: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """Temperature and bias of least negative log-likelihood, drawn towards 1 and 0 by normal priors.

    `logits` (clips, classes), `truth` (clips,) as indices. With few clips of some class the bias is empty.
    """
    classes = logits.shape[1]
    known = np.eye(classes)[truth]
    biased = int(known.sum(0).min()) >= _CLIPS_FOR_BIAS

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        log_temperature, bias = values[0], values[1:]
        scaled = logits * np.exp(-log_temperature)
        shifted = scaled + (bias if biased else 0.0)
        shifted = shifted - shifted.max(1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        excess = np.exp(logs) - known
        slope = -(excess * scaled).sum() + log_temperature / _TEMPERATURE_SPREAD**2
        prior = (log_temperature / _TEMPERATURE_SPREAD) ** 2 + ((bias / _BIAS_SPREAD) ** 2).sum()
        slopes = excess.sum(0) + bias / _BIAS_SPREAD**2 if biased else bias
        return -(known * logs).sum() + prior / 2, np.array([slope, *slopes])

    size = classes if biased else 0
    bounds = [(-_LARGEST_LOG, _LARGEST_LOG)] + [(None, None)] * size
    found = minimize(loss, np.zeros(1 + size), jac=True, bounds=bounds, method="L-BFGS-B")
    return float(np.exp(found.x[0])), tuple(map(float, found.x[1:]))


def choose_threshold(confidence: np.ndarray, right: np.ndarray, limit: float) -> float:
    """The lowest confidence from which upward at most `limit` of the answers are wrong.

    One at which the bound on the error keeps below it too is preferred. Failing that, the clips' own probabilities must
    promise it too, since the lowest of many thresholds is often a lucky one. 1 where no threshold will do: nothing is
    then judged outright. `confidence` and `right` (bool) have shape (clips,).
    """
    levels = np.unique(confidence)
    sure, likely = [], []
    for number, level in enumerate(levels):
        accepted = confidence >= level
        clips, errors = int(accepted.sum()), int((accepted & ~right).sum())
        # Half-way to the next lower one: no clip lies on the threshold, where rounding would decide.
        threshold = float((level + levels[max(number - 1, 0)]) / 2)
        if error_bound(errors, clips) <= limit:
            sure.append(threshold)
        promised = 1.0 - confidence[accepted].mean()
        if clips >= _FEWEST_ACCEPTED and max(errors / clips, promised) <= limit:
            likely.append(threshold)
    return min(sure or likely or [1.0])

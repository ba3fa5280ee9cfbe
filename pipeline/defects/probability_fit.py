"""Calibration from the validation speakers: temperature, bias, and how probable is probable enough.

The test split has no part in it. The validation speakers have chosen the checkpoint already, so the test figures of
`pipeline.evaluation.reliability` are the ones to believe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from pipeline.defects.settings import CalibrationSettings
from pipeline.evaluation.accepted_errors import CONFIDENCE, accepted_metrics, error_bound
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
    if not len(truth):
        untouched = Calibration(fewest_letters=settings.fewest_letters, letters=letters)
        note = "not calibrated: the validation split holds no labelled clip"
        return Fitted(untouched, {"clips": 0, "units": 0, "fitted": "nothing", "certified": False, "note": note})
    temperature, bias = fit(logits, truth)
    scaled = Calibration(temperature, bias)
    probabilities = scaled.apply(logits)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    chooses = choosing_half(units, truth)
    threshold = choose_threshold(confidence[chooses], right[chooses], settings.max_accepted_error)
    others = [unit for unit, chosen in zip(units, chooses, strict=True) if not chosen]
    proof = accepted_metrics(confidence[~chooses], right[~chooses], others, threshold)
    certified = proof["error_at_most"] <= settings.max_accepted_error
    return Fitted(
        Calibration(temperature, bias, threshold, settings.fewest_letters, letters),
        {
            "clips": len(truth),
            "units": len(set(units)),
            "fitted": "temperature and bias" if bias else "temperature",
            "max_accepted_error": settings.max_accepted_error,
            "chosen_on": accepted_metrics(
                confidence[chooses], right[chooses], np.array(units)[chooses].tolist(), threshold
            ),
            "certified_on": proof,
            "certified": certified,
            "note": _note(proof, certified, settings.max_accepted_error),
        },
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


def choosing_half(units: Sequence[str], truth: np.ndarray) -> np.ndarray:
    """Which clips (bool, (clips,)) choose the threshold; the others certify it. A unit's clips stay together.

    Units take turns within their most frequent class, in an order that depends on nothing but their names.
    """
    classes: dict[str, list[int]] = {}
    for unit, label in zip(units, truth.tolist(), strict=True):
        classes.setdefault(unit, []).append(label)

    def place(unit: str) -> tuple[int, str]:
        return max(classes[unit], key=classes[unit].count), hashlib.sha256(unit.encode()).hexdigest()

    chosen = set(sorted(classes, key=place)[::2])
    return np.array([unit in chosen for unit in units])


def choose_threshold(confidence: np.ndarray, right: np.ndarray, limit: float) -> float:
    """The lowest confidence from which upward at most `limit` of the answers are wrong.

    One at which that is certain enough to be certified is preferred. Failing that, the clips' own probabilities must
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


def _note(proof: Mapping[str, Any], certified: bool, limit: float) -> str:
    found = (
        f"of {proof['accepted']} validation clips judged outright, which did not choose the threshold, "
        f"{proof['errors']} are wrong; the error is at most {proof['error_at_most']:.3f} with {CONFIDENCE:.0%} "
        "confidence, taking clips for independent"
    )
    return f"certified for {limit:g}: {found}" if certified else f"not certified for {limit:g}: {found}"

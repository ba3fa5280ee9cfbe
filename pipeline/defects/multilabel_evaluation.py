"""Calibration and reliability where a clip may have several defects at once: each is fitted and judged for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

from pipeline.defects.probability_fit import Fitted, choose_threshold
from pipeline.defects.settings import CalibrationSettings
from pipeline.evaluation.accepted_errors import accepted_metrics, certification
from pipeline.evaluation.reliability import measured, shown_change
from speech.defects.multilabel import PRESENT_FROM, MultilabelCalibration, Platt
from speech.defects.spec import REFERENCE_CLASS

_TEMPERATURE_SPREAD = 1.0  # prior of log temperature, as for exclusive classes
_BIAS_SPREAD = 1.0  # prior of the bias, which has to take back that training lets rare defects weigh more
_LARGEST_LOG = 3.0  # of the temperature: factors beyond 20 stand for a model that does not know at all


def calibrate_defects(
    logits: np.ndarray,
    truth: np.ndarray,
    units: Sequence[str],
    classes: Sequence[str],
    letters: Mapping[str, tuple[str, ...]],
    settings: CalibrationSettings,
) -> Fitted:
    """`calibrate` per defect: `truth` (clips, classes), bool, says which classes a clip
    has. Thresholds are chosen for yes and for no apart, so that a rare defect is not named on the strength of the
    many clips that lack it."""
    plain = MultilabelCalibration(tuple(classes), {}, settings.fewest_letters, letters)
    limit = {"max_accepted_error": settings.max_accepted_error}
    if not len(truth):
        note = "not calibrated: the validation split holds no labelled clip"
        return Fitted(plain, {"clips": 0, "units": 0, "fitted": "nothing", "note": note} | limit)
    defects = {
        name: _calibrate_defect(logits[:, index], truth[:, index], units, settings.max_accepted_error)
        for index, name in enumerate(classes)
        if name != REFERENCE_CLASS
    }
    summaries = {name: summary for name, (_, summary) in defects.items()}
    calibration = MultilabelCalibration(
        tuple(classes), {name: platt for name, (platt, _) in defects.items()}, settings.fewest_letters, letters
    )
    return Fitted(
        calibration,
        {
            "clips": len(truth),
            "units": len(set(units)),
            "fitted": "temperature and bias per defect",
            "defects": summaries,
            "note": "at the thresholds that they chose, of the validation clips "
            + "; ".join(
                f"{of['chosen_on']['accepted']} are judged outright for {name}, {of['chosen_on']['errors']} wrongly"
                for name, of in summaries.items()
            ),
        }
        | limit,
    )


def certification_of_defects(test: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """`pipeline.evaluation.accepted_errors.certification` of each defect in `test`, of `reliability_of_defects`:
    whether all are `certified`, which `defects` are, and a `note`."""
    each = {name: certification(of["accepted"], limit)["certified"] for name, of in test["defects"].items()}
    sure, unsure = (", ".join(name for name, yes in each.items() if yes is wanted) for wanted in (True, False))
    note = f"{'certified' if sure else 'not certified'} for {limit:g}: {sure or unsure}"
    if sure and unsure:
        note += f"; not certified: {unsure}"
    return {"certified": all(each.values()), "limit": limit, "defects": each, "note": note}


def _calibrate_defect(
    logits: np.ndarray, truth: np.ndarray, units: Sequence[str], limit: float
) -> tuple[Platt, dict[str, Any]]:
    """One defect's part, from its logits and whether it is there, both (clips,)."""
    temperature, bias = fit_platt(logits, truth)
    probabilities = Platt(temperature, bias).apply(logits)
    confidence, right, said = _judged(probabilities, truth)
    yes, no = (choose_threshold(confidence[side], right[side], limit) for side in (said, ~said))
    platt = Platt(temperature, bias, yes, no)
    chosen_on = accepted_metrics(confidence, right, units, _thresholds(platt, said))
    return platt, {"clips": len(truth), "with_defect": int(truth.sum()), "chosen_on": chosen_on}


def fit_platt(logits: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Temperature and bias of least negative log-likelihood of one defect, drawn towards 1 and 0 by normal priors.

    `logits` and `truth` (bool) are (clips,). Where all clips or none have the defect, nothing is fitted.
    """
    if truth.all() or not truth.any():
        return 1.0, 0.0
    known = truth.astype(np.float64)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        log_temperature, bias = values
        scaled = logits * np.exp(-log_temperature)
        shifted = scaled + bias
        excess = Platt().apply(shifted) - known
        prior = (log_temperature / _TEMPERATURE_SPREAD) ** 2 + (bias / _BIAS_SPREAD) ** 2
        slope = -(excess * scaled).sum() + log_temperature / _TEMPERATURE_SPREAD**2
        value = (np.logaddexp(0.0, shifted) - known * shifted).sum() + prior / 2
        return float(value), np.array([slope, excess.sum() + bias / _BIAS_SPREAD**2])

    bounds = [(-_LARGEST_LOG, _LARGEST_LOG), (None, None)]
    found = minimize(loss, np.zeros(2), jac=True, bounds=bounds, method="L-BFGS-B")
    return float(np.exp(found.x[0])), float(found.x[1])


def reliability_of_defects(
    logits: np.ndarray, truth: np.ndarray, units: Sequence[str], calibration: MultilabelCalibration
) -> dict[str, Any]:
    """`pipeline.evaluation.reliability.reliability` of the decisions whether a clip has a defect: of all together
    (`clips` then counts decisions), and under `defects` of each. Each decision is between two classes, there or not.

    Raises ValueError without clips.
    """
    if not len(truth):
        raise ValueError("there is no clip to measure on")
    decisions = {}
    for index, name in enumerate(calibration.classes):
        if name != REFERENCE_CLASS:
            platt = calibration.of(name)
            before, after = (there.apply(logits[:, index]) for there in (Platt(), platt))
            decisions[name] = (before, after, truth[:, index], _thresholds(platt, after >= PRESENT_FROM))
    together = [np.concatenate(parts) for parts in zip(*decisions.values(), strict=True)]
    return _measured(together, list(units) * len(decisions)) | {
        "defects": {name: _measured(of_defect, units) for name, of_defect in decisions.items()}
    }


def _measured(decisions: Sequence[np.ndarray], units: Sequence[str]) -> dict[str, Any]:
    before, after, truth, thresholds = decisions
    stages = {"before": np.stack([1 - before, before], axis=1), "after": np.stack([1 - after, after], axis=1)}
    return measured(stages, truth.astype(int), units, thresholds)


def _judged(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each clip's confidence in the likelier answer, whether that is right, and whether it is: the defect is there."""
    said = probabilities >= PRESENT_FROM
    return np.where(said, probabilities, 1.0 - probabilities), said == truth, said


def _thresholds(platt: Platt, said: np.ndarray) -> np.ndarray:
    return np.where(said, platt.yes_from, platt.no_from)


def defect_rows(calibration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per defect of an evaluation's `calibration`, for people: thresholds, test errors, whether certified."""
    rows = []
    for name, platt in calibration["applied"]["defects"].items():
        figures = calibration["test"]["defects"][name]
        accepted = figures["accepted"]
        rows.append(
            {
                "defect": name,
                "yes_from": round(platt["yes_from"], 3),
                "no_from": round(platt["no_from"], 3),
                "calibration_error": shown_change(figures, "ece"),
                "brier": shown_change(figures, "brier"),
                "test_clips": accepted["clips"],
                "judged_outright": accepted["accepted"],
                "wrong": accepted["errors"],
                "error_at_most": round(accepted["error_at_most"], 3),
                "certified": calibration["certification"]["defects"][name],
            }
        )
    return rows

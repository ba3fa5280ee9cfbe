"""How far probabilities can be believed: calibration errors, and risk against coverage, on clips that nothing was
fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.accepted_errors import accepted_metrics
from pipeline.evaluation.bootstrap import interval, resamples
from speech.defects.calibration import IDENTITY, Calibration, Verdict
from speech.defects.diagnose import Diagnosis

_MOST_BINS = 10
_CLIPS_A_BIN = 10  # fewer, and the share of right answers in a bin is noise
_MOST_POINTS = 50  # of the risk-coverage curve, so that metrics stay small
_CHANCE_DRAWS = 500


def reliability(
    logits: np.ndarray, truth: np.ndarray, units: Sequence[str], calibration: Calibration
) -> dict[str, Any]:
    """Figures before (softmax) and after calibration; JSON-able.

    `logits` (clips, classes), `truth` (clips,) as indices, `units` the speakers (or clips) that are drawn together.
    Each of `ece` (equal-mass, of the most probable class, 0 to 1), `brier` (summed over classes, 0 to 2) and `nll`
    (nats) has `value`, and `low` and `high` of a 95% bootstrap interval over units, None where there is one unit;
    `change` is after less before, resampled together. The ECE of few clips is overestimated, that of resampled ones
    even more: believe its change sooner than its value, and compare that with `ece_by_chance`, which is what
    `ece_of_exact` gives for the probabilities after calibration. Raises ValueError without clips.
    """
    if not len(truth):
        raise ValueError("there is no clip to measure on")
    stages = {"before": IDENTITY.apply(logits), "after": calibration.apply(logits)}
    return measured(stages, truth, units, calibration.unsure_below)


def measured(
    stages: Mapping[str, np.ndarray], truth: np.ndarray, units: Sequence[str], threshold: float | np.ndarray
) -> dict[str, Any]:
    """`reliability` of probabilities (clips, classes) `before` and `after`; `threshold`: the least probability, one or
    one a clip, of an answer given outright."""
    draws = resamples(units)
    result: dict[str, Any] = {"clips": len(truth), "units": len(set(units)), "before": {}, "after": {}, "change": {}}
    for name, figure in CALIBRATION_METRICS.items():
        drawn = {stage: np.array([figure(p[draw], truth[draw]) for draw in draws]) for stage, p in stages.items()}
        values = {stage: figure(p, truth) for stage, p in stages.items()}
        for stage in stages:
            result[stage][name] = interval(values[stage], drawn[stage])
        result["change"][name] = interval(values["after"] - values["before"], drawn["after"] - drawn["before"])
    confidence, right = _top(stages["after"], truth)
    return result | {
        "ece_by_chance": ece_of_exact(stages["after"]),
        "bins": {stage: bins(p, truth) for stage, p in stages.items()},
        "risk_coverage": risk_coverage(confidence, right),
        "accepted": accepted_metrics(confidence, right, units, threshold),
    }


def bins(probabilities: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """Clips in order of confidence, cut into bins of equal mass: each bin's clips, mean confidence and share right."""
    confidence, right = _top(probabilities, truth)
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, int(np.clip(len(order) // _CLIPS_A_BIN, 1, _MOST_BINS)))
    return [
        {"clips": len(part), "confidence": float(confidence[part].mean()), "right": float(right[part].mean())}
        for part in parts
    ]


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of confidence and share right over equal-mass bins, 0 to 1."""
    return sum(row["clips"] * abs(row["confidence"] - row["right"]) for row in bins(probabilities, truth)) / len(truth)


def ece_of_exact(probabilities: np.ndarray) -> dict[str, float]:
    """The ECE that such probabilities (clips, classes) would show if they were exactly right: its `mean` and the `high`
    that 95% of drawn outcomes stay under. Of few clips it is far from zero, by chance alone."""
    generator, sums = np.random.default_rng(0), probabilities.cumsum(1)
    last = probabilities.shape[1] - 1
    drawn = [
        expected_calibration_error(
            probabilities,
            np.minimum((generator.random((len(sums), 1)) > sums).sum(1), last),  # sums may end below 1
        )
        for _ in range(_CHANCE_DRAWS)
    ]
    return {"mean": float(np.mean(drawn)), "high": float(np.quantile(drawn, 0.95))}


def brier(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared distance of the probabilities from the truth, summed over classes, 0 to 2."""
    return float(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(1).mean())


def negative_log_likelihood(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean negative log probability of the truth, nats."""
    given = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(given, np.finfo(float).tiny)).mean())


CALIBRATION_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "ece": expected_calibration_error,
    "brier": brier,
    "nll": negative_log_likelihood,
}


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """By `threshold`, the strictest first: the share of clips accepted (`coverage`) and of errors there (`risk`)."""
    levels = np.unique(confidence)[::-1]
    kept = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), _MOST_POINTS)).round().astype(int))
    points = []
    for level in levels[kept]:
        accepted = confidence >= level
        points.append(
            {
                "threshold": float(level),
                "coverage": float(accepted.mean()),
                "risk": float((~right[accepted]).mean()),
            }
        )
    return points


def verdict_counts(
    answers: Sequence[Diagnosis], labels: Sequence[Sequence[str]]
) -> dict[str, dict[str, dict[str, int]]]:
    """Per defect class and verdict: how many `clips` got it, and how many of them have the defect (`with_defect`).

    `labels` are each clip's classes.
    """
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for answer, of_clip in zip(answers, labels, strict=True):
        for name, word in answer.verdicts.items():
            row = counts.setdefault(name, {verdict.value: {"clips": 0, "with_defect": 0} for verdict in Verdict})[word]
            row["clips"] += 1
            row["with_defect"] += name in of_clip
    return counts


def _top(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return probabilities.max(1), probabilities.argmax(1) == truth


def shown_change(figures: Mapping[str, Any], name: str) -> str:
    """`before -> after (change, interval)` of one figure, for people."""
    before, after, change = (figures[stage][name] for stage in ("before", "after", "change"))
    text = f"{before['value']:.3f} -> {after['value']:.3f}"
    return text if change["low"] is None else f"{text} (change {change['low']:+.3f} to {change['high']:+.3f})"

"""Figures from predictions: F1, precision, recall, confusion, and the marker count error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


class NothingToJudge(ValueError):
    """There is no labelled clip to judge by; the message says where to look."""


def defect_figures(truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Macro-F1, accuracy, `per_class`, `confusion` (rows are the truth) and the macro-F1 of always saying the most
    frequent class. All shares run from 0 to 1. Raises `NothingToJudge`."""
    if not truth:
        raise NothingToJudge("no labelled clip in the test split; see the report of the clips stage")
    names = list(classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=names, average=None, zero_division=0.0
    )
    per_class = {
        name: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "clips": int(support[i]),
        }
        for i, name in enumerate(names)
    }
    hits = sum(a == b for a, b in zip(truth, predicted, strict=True))
    return {
        "clips": len(truth),
        "macro_f1": float(np.mean(f1)),
        "accuracy": hits / len(truth),
        "majority_macro_f1": majority_macro_f1(truth, names),
        "per_class": per_class,
        "classes": names,
        "confusion": confusion_matrix(truth, predicted, labels=names).tolist(),
    }


def majority_macro_f1(truth: Sequence[str], classes: Sequence[str]) -> float:
    """Macro-F1 of always answering the most frequent class of the truth."""
    most = max(classes, key=lambda name: truth.count(name))
    _, _, f1, _ = precision_recall_fscore_support(
        truth, [most] * len(truth), labels=list(classes), average=None, zero_division=0.0
    )
    return float(np.mean(f1))


def marker_figures(
    truth: Sequence[Mapping[str, int] | None],
    predicted: Sequence[Mapping[str, float]],
    training_means: Mapping[str, float],
) -> dict[str, Any]:
    """Mean absolute error of the predicted letter counts a clip, beside that of predicting the training mean.

    Clips without a known count are left out; where none is left, or there is no letter, both errors are None.
    """
    pairs = [(counts, guess) for counts, guess in zip(truth, predicted, strict=True) if counts is not None]
    letters = list(training_means)
    if not pairs or not letters:
        return {"clips": 0, "mae": None, "mae_of_mean": None, "per_letter": {}}
    per_letter = {}
    for letter in letters:
        counts = np.array([pair[0][letter] for pair in pairs], dtype=float)
        guesses = np.array([pair[1][letter] for pair in pairs])
        per_letter[letter] = {
            "mae": float(np.abs(guesses - counts).mean()),
            "mae_of_mean": float(np.abs(training_means[letter] - counts).mean()),
            "mean_count": float(counts.mean()),
        }
    return {
        "clips": len(pairs),
        "mae": float(np.mean([row["mae"] for row in per_letter.values()])),
        "mae_of_mean": float(np.mean([row["mae_of_mean"] for row in per_letter.values()])),
        "per_letter": per_letter,
    }

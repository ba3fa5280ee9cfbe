"""Figures from predictions: F1, precision, recall, confusion, and the marker count error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class NothingToJudge(ValueError):
    """There is no labelled clip to judge by; the message says where to look."""


def defect_metrics(truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Macro-F1, accuracy, `per_class`, `confusion` (rows are the truth) and the macro-F1 of always saying the most
    frequent class. All shares run from 0 to 1. Raises `NothingToJudge`."""
    if not truth:
        raise NothingToJudge("no labelled clip in the test split; see the report of the clips stage")
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support  # a second to load

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


def metrics_of(
    truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], classes: Sequence[str], *, exclusive: bool
) -> dict[str, Any]:
    """`defect_metrics`, or `multilabel_metrics` where classes are not `exclusive`, from each clip's classes. They hold
    `exclusive` too."""
    if exclusive:
        figures = defect_metrics([names[0] for names in truth], [names[0] for names in predicted], classes)
    else:
        figures = multilabel_metrics(truth, predicted, classes)
    return figures | {"exclusive": exclusive}


def majority_macro_f1(truth: Sequence[str], classes: Sequence[str]) -> float:
    """Macro-F1 of always answering the most frequent class of the truth."""
    from sklearn.metrics import precision_recall_fscore_support

    most = max(classes, key=lambda name: truth.count(name))
    _, _, f1, _ = precision_recall_fscore_support(
        truth, [most] * len(truth), labels=list(classes), average=None, zero_division=0.0
    )
    return float(np.mean(f1))


def multilabel_metrics(
    truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], classes: Sequence[str]
) -> dict[str, Any]:
    """`defect_metrics` where a clip may have several classes.

    `accuracy` is the share of clips whose classes are all right. There is no confusion matrix: which class was taken
    for which is undefined where several are there. Each row of `per_class` holds its own two by two table instead.
    Raises `NothingToJudge`.
    """
    if not truth:
        raise NothingToJudge("no labelled clip in the test split; see the report of the clips stage")
    known, said = indicators(truth, classes), indicators(predicted, classes)
    most = np.zeros_like(known)
    most[:, known.sum(0).argmax()] = True
    rows = _rows(known, said)
    return {
        "clips": len(known),
        "macro_f1": float(np.mean([row["f1"] for row in rows])),
        "accuracy": float((known == said).all(1).mean()),
        "majority_macro_f1": float(np.mean([row["f1"] for row in _rows(known, most)])),
        "per_class": dict(zip(classes, rows, strict=True)),
        "classes": list(classes),
    }


def _rows(known: np.ndarray, said: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for there, named in zip(known.T, said.T, strict=True):
        hits, false, missed = int((there & named).sum()), int((~there & named).sum()), int((there & ~named).sum())
        rows.append(
            {
                "precision": hits / max(1, hits + false),
                "recall": hits / max(1, hits + missed),
                "f1": 2 * hits / max(1, 2 * hits + false + missed),
                "clips": hits + missed,
                "true_positive": hits,
                "false_positive": false,
                "false_negative": missed,
                "true_negative": len(there) - hits - false - missed,
            }
        )
    return rows


def indicators(labels: Sequence[Sequence[str]], classes: Sequence[str]) -> np.ndarray:
    """Which classes each clip has: bool (clips, classes)."""
    return np.array([[name in of_clip for name in classes] for of_clip in labels], dtype=bool).reshape(
        len(labels), len(classes)
    )


def marker_metrics(
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

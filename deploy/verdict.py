"""What a demonstration must show to count as passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MARGIN = 0.15  # macro-F1 above always naming the most frequent class: well beyond chance on a few dozen test clips


class FigureError(ValueError):
    """A run did not record a figure that the verdict needs; the message names asset and entry."""


@dataclass(frozen=True)
class Scores:
    """Figures of the test split. `marker_mae` is the mean absolute error of the marker counts per clip,
    `marker_mae_of_mean` that of always predicting their mean."""

    macro_f1: float
    majority_macro_f1: float
    marker_mae: float
    marker_mae_of_mean: float


def read_scores(metadata: Mapping[str, Any]) -> Scores:
    """The scores in the metadata of the asset `evaluation`. Raises `FigureError`."""
    return Scores(**{name: number(metadata, name, "evaluation") for name in Scores.__dataclass_fields__})


def shortcomings(run_bundle: str, answer_bundle: str, scores: Scores) -> list[str]:
    """Why the demonstration did not pass, one sentence each; empty where it did. NaN never passes."""
    found = []
    if answer_bundle != run_bundle:
        found.append(f"the answer came from bundle {answer_bundle}, not from {run_bundle}, which this run published")
    if not scores.macro_f1 >= scores.majority_macro_f1 + MARGIN:
        found.append(
            f"macro-F1 {scores.macro_f1:.3f} is not {MARGIN} above the majority baseline {scores.majority_macro_f1:.3f}"
        )
    if not scores.marker_mae < scores.marker_mae_of_mean:
        found.append(
            f"the marker count error {scores.marker_mae:.3f} is not below {scores.marker_mae_of_mean:.3f}, "
            "that of predicting the mean"
        )
    return found


def number(metadata: Mapping[str, Any], name: str, asset: str) -> float:
    """A figure that a run has recorded with an asset. Raises `FigureError`."""
    value = metadata.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FigureError(f"the run recorded no number {name} with the asset {asset} (it says {value!r})")
    return float(value)

"""What a demonstration must show to count as passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.demo.recorded_metrics import number, reason

_ASSET = "evaluation"
MARGIN = 0.15  # macro-F1 above always naming the most frequent class: well beyond chance on a few dozen test clips


@dataclass(frozen=True)
class Scores:
    """Figures of the test split. `marker_mae` is the mean absolute error of the marker counts per clip,
    `marker_mae_of_mean` that of always predicting their mean; both None where they could not be measured, for the
    reason in `unmeasured`."""

    macro_f1: float
    majority_macro_f1: float
    marker_mae: float | None
    marker_mae_of_mean: float | None
    unmeasured: str = ""


def read_scores(metadata: Mapping[str, Any]) -> Scores:
    """The scores in the metadata of the asset `evaluation`. Raises `RecordedMetricError`."""
    macro_f1, majority = (number(metadata, name, _ASSET) for name in ("macro_f1", "majority_macro_f1"))
    if why := reason(metadata, "marker_unmeasured"):
        return Scores(macro_f1, majority, None, None, why)
    mae, of_mean = (number(metadata, name, _ASSET) for name in ("marker_mae", "marker_mae_of_mean"))
    return Scores(macro_f1, majority, mae, of_mean)


def shortcomings(run_bundle: str, answer_bundle: str, scores: Scores) -> list[str]:
    """Why the demonstration did not pass, one sentence each; empty where it did. NaN never passes; what could not be
    measured speaks neither for it nor against it."""
    found = []
    if answer_bundle != run_bundle:
        found.append(f"the answer came from bundle {answer_bundle}, not from {run_bundle}, which this run published")
    if not scores.macro_f1 >= scores.majority_macro_f1 + MARGIN:
        found.append(
            f"macro-F1 {scores.macro_f1:.3f} is not {MARGIN} above the majority baseline {scores.majority_macro_f1:.3f}"
        )
    if scores.marker_mae is None or scores.marker_mae_of_mean is None:
        return found
    if not scores.marker_mae < scores.marker_mae_of_mean:
        found.append(
            f"the marker count error {scores.marker_mae:.3f} is not below {scores.marker_mae_of_mean:.3f}, "
            "that of predicting the mean"
        )
    return found

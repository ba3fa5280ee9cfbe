"""Pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.training.curves import png


def confusion_picture(confusion: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> bytes:
    """PNG of a confusion matrix, rows the truth; shade is the share of the row, figures are clips."""
    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.6 + 0.9 * len(classes), 1.2 + 0.8 * len(classes)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(classes)):
        for column in range(len(classes)):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="said", ylabel="true", title=title)
    return png(figure)


def reliability_picture(bins: Mapping[str, Sequence[Mapping[str, float]]], of: str = "test clips") -> bytes:
    """PNG of the share of right answers against confidence, per bin of equal mass, before and after calibration.

    `of` says what is counted.
    """
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="honest")
    for stage, colour in (("before", "C1"), ("after", "C0")):
        rows = bins[stage]
        points = [[row[axis] for row in rows] for axis in ("confidence", "right")]
        axes.plot(*points, marker="o", color=colour, label=f"{stage} calibration")
    clips = sum(row["clips"] for row in bins["after"])
    axes.set(
        xlim=(0, 1), ylim=(0, 1), xlabel="probability of the class named", ylabel="share of answers that are right"
    )
    axes.set_title(f"reliability, {clips:.0f} {of}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return png(figure)


def risk_coverage_picture(
    points: Sequence[Mapping[str, float]], accepted: Mapping[str, Any], of: str = "test clips"
) -> bytes:
    """PNG of the error among the clips judged outright against their share, with the threshold in use.

    `of` says what is counted.
    """
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([p["coverage"] for p in points], [p["risk"] for p in points], marker=".", drawstyle="steps-mid")
    if accepted["accepted"]:
        coverage, risk = accepted["accepted"] / accepted["clips"], accepted["errors"] / accepted["accepted"]
        axes.plot(coverage, risk, marker="D", color="C3", linestyle="none", label="threshold in use")
        axes.legend(frameon=False)
    axes.set(xlim=(0, 1.02), ylim=(0, 1), xlabel="share judged outright", ylabel="error among them")
    axes.set_title(f"risk against coverage, {accepted['clips']} {of}")
    axes.grid(alpha=0.3)
    return png(figure)

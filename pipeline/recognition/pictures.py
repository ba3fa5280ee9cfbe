"""Pictures of a recogniser's judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.recognition.breakdown import shown_length
from pipeline.training.curves import png

_SPEAKERS = 30  # more bars could not be told apart


def wer_by_speaker(rows: Sequence[Mapping[str, Any]], overall: float) -> bytes:
    """PNG of each speaker's word error rate, the worst on top; of many speakers the worst alone."""
    shown = rows[:_SPEAKERS]
    figure = Figure(figsize=(6.4, 1.2 + 0.24 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(shown))
    axes.barh(places, [row["wer"] for row in shown], color="C0")
    axes.axvline(overall, color="C3", linestyle="--", label=f"all test speakers: {overall:.3f}")
    # A speaker's name is a user's text: a dollar in it begins no formula.
    axes.set_yticks(places, [f"{row['speaker']} ({row['words']} words)" for row in shown], parse_math=False)
    axes.invert_yaxis()
    more = "" if len(rows) == len(shown) else f", the {len(shown)} worst of {len(rows)}"
    axes.set(xlabel="word error rate", xlim=(0, None), title=f"word error rate by speaker{more}")
    figure.legend(loc="outside lower center", frameon=False)
    return png(figure)


def wer_by_length(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of the word error rate by the recording's length, with 95% intervals."""
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    rates = np.array([row["wer"] for row in rows])
    below, above = (np.array([abs(_bound(row, side) - row["wer"]) for row in rows]) for side in ("low", "high"))
    axes.bar(places, rates, 0.6, color="C0", yerr=np.stack([below, above]), ecolor="0.3", capsize=4)
    axes.set_xlim(-1, len(rows))
    axes.set_xticks(places, [f"{shown_length(row)}\n{row['words']} words" for row in rows], fontsize="small")
    axes.set(ylabel="word error rate", ylim=(0, None), title="word error rate by length")
    return png(figure)


def _bound(row: Mapping[str, Any], side: str) -> float:
    return float(row["wer"] if row[side] is None else row[side])

"""The model card's part on probabilities where a recording may have several defects at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.defects.multilabel_evaluation import defect_rows
from pipeline.markdown import table

COUNTING = """
A clip with several defects counts under each of them. Accuracy, here and by group, is the share of clips whose classes
are all right."""
_HEADER = (
    "defect", "calibration error (ECE)", "Brier score", "yes from", "no from", "judged outright", "error at most",
)  # fmt: skip


def probabilities_per_defect(figures: Mapping[str, Any], archives: Sequence[str], speakers_known: bool) -> str:
    """The section as Markdown; `figures` are an evaluation's `calibration`."""
    fit, test = figures["fit"], figures["test"]
    of = "speakers" if speakers_known else "voices (speakers are unknown: each clip counts as one)"
    rows = [
        (
            row["defect"],
            row["calibration_error"],
            row["brier"],
            f"{row['yes_from']:.3f}",
            f"{row['no_from']:.3f}",
            f"{row['judged_outright']} of {row['test_clips']}, {row['wrong']} wrong",
            f"{row['error_at_most']:.3f}",
        )
        for row in defect_rows(figures)
    ]
    return f"""## Probabilities
Several defects may be heard at once: each has a probability of its own, and that of no defect is the product of their
absences, as if defects were independent. The probabilities do not add up to 1.

Calibrated on {fit["clips"]} validation clips of {fit["units"]} {of}, measured on the test clips of {test["units"]},
all from {", ".join(archives)}. They hold for recordings like these, with defects as common as there; calibrated on
synthetic voices, they say nothing of people.

{table(_HEADER, rows)}

Errors of calibration are before (plain sigmoid) -> after, in brackets the middle 95% of bootstrap draws of the change,
whole {"speakers" if speakers_known else "clips"} at a time. A defect is judged for itself: yes where it is at least as
probable as "yes from", no where its absence is at least as probable as "no from", else unsure; 1.000 means that this is
as good as never said. "Error at most" is that of the test clips judged outright, with 95% confidence.
By the test clips, which this very model answered and which chose nothing, it is
{figures["certification"]["note"]}.
A defect told by letters is not assessable where the model counts fewer than {figures["applied"]["fewest_letters"]:g}
of them.
"""

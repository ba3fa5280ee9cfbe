"""How many of the answers that are given outright are wrong, and what error rate that leaves possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import beta

CONFIDENCE = 0.95  # of the bound on the error of accepted clips


def error_bound(errors: int, clips: int) -> float:
    """Greatest error rate that so few errors leave possible at `CONFIDENCE` (one-sided Clopper-Pearson); 1 of none."""
    return 1.0 if errors >= clips else float(beta.ppf(CONFIDENCE, errors + 1, clips - errors))


def certification(accepted: Mapping[str, Any], limit: float, of: str = "test clips") -> dict[str, Any]:
    """Whether the answers given outright, `accepted` of `accepted_metrics`, are shown to err in at most `limit` (0 to
    1) of cases: `certified`, the `limit`, and a `note` for people.

    It holds only for clips that chose neither the model nor the threshold, and for the model that gave the answers.
    """
    certified = accepted["error_at_most"] <= limit
    found = (
        f"of {accepted['accepted']} {of} judged outright, {accepted['errors']} are wrong; the error is at most "
        f"{accepted['error_at_most']:.3f} with {CONFIDENCE:.0%} confidence, taking clips for independent"
    )
    note = f"{'certified' if certified else 'not certified'} for {limit:g}: {found}"
    return {"certified": certified, "limit": limit, "note": note}


def accepted_metrics(
    confidence: np.ndarray, right: np.ndarray, units: Sequence[str], threshold: float | np.ndarray
) -> dict[str, Any]:
    """Clips, how many the threshold (one, or one a clip) accepts, how many of these are wrong, and what error that
    leaves possible.

    `error_at_most` takes clips for independent, which clips of one speaker are not; `units_error_at_most` bounds the
    share of units (speakers) with an error among their accepted clips instead.
    """
    accepted = confidence >= threshold
    wrong = accepted & ~right
    heard = {unit for unit, is_in in zip(units, accepted, strict=True) if is_in}
    failed = {unit for unit, is_wrong in zip(units, wrong, strict=True) if is_wrong}
    clips, errors = int(accepted.sum()), int(wrong.sum())
    return {
        "clips": len(confidence),
        "accepted": clips,
        "errors": errors,
        "error_at_most": error_bound(errors, clips),
        "units": len(heard),
        "units_with_error": len(failed),
        "units_error_at_most": error_bound(len(failed), len(heard)),
    }

"""Uncertainty from drawing whole speakers again: clips of one speaker are alike, so clips alone would look too sure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from pipeline.evaluation.figures import indicators

_RESAMPLES = 1000
_INTERVAL = (2.5, 97.5)  # percentiles


class Voiced(Protocol):
    """A clip by its id and its speaker, None where unknown."""

    @property
    def clip(self) -> str: ...

    @property
    def speaker(self) -> str | None: ...


def unit(clip: Voiced) -> str:
    """What a clip is drawn together with: its speaker, or it alone where the speaker is unknown."""
    return f"clip {clip.clip}" if clip.speaker is None else clip.speaker


def resamples(units: Sequence[str], seed: int = 0) -> list[np.ndarray]:
    """Clip indices of bootstrap draws of whole units; none where there are fewer than two."""
    members: dict[str, list[int]] = {}
    for index, unit in enumerate(units):
        members.setdefault(unit, []).append(index)
    if len(members) < 2:
        return []
    groups = [np.array(group) for group in members.values()]
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(groups), size=(_RESAMPLES, len(groups)))
    return [np.concatenate([groups[group] for group in draw]) for draw in draws]


def interval(value: float, drawn: np.ndarray) -> dict[str, float | None]:
    """A figure with the middle 95% of its bootstrap draws, None where there are no draws."""
    low, high = np.percentile(drawn, _INTERVAL).tolist() if len(drawn) else (None, None)
    return {"value": value, "low": low, "high": high}


def shown_interval(figure: Mapping[str, float | None]) -> str:
    """`value [low, high]`, or the value alone where there is no interval."""
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def paired_difference(
    truth: Sequence[str],
    ours: Sequence[str],
    theirs: Sequence[str],
    units: Sequence[str],
    classes: Sequence[str],
    margin: float,
) -> dict[str, Any]:
    """Candidate less champion in macro-F1 on the same clips, both drawn together, whole units at a time.

    `truth`, `ours` and `theirs` hold each clip's class; `paired_difference_of_sets` takes several.

    `difference` has `value`, `low` and `high` (95% interval); `risk` is the share of draws in which the candidate is
    more than `margin` worse, which stands for the probability that it is. With fewer than two units nothing can be
    drawn and `risk` is 0 or 1, by the clips as they are. A class that is absent from a draw, in truth and in both
    answers, is left out of that draw's means.
    """
    known, by_us, by_them = ([(label,) for label in labels] for labels in (truth, ours, theirs))
    return paired_difference_of_sets(known, by_us, by_them, units, classes, margin)


def paired_difference_of_sets(
    truth: Sequence[Sequence[str]],
    ours: Sequence[Sequence[str]],
    theirs: Sequence[Sequence[str]],
    units: Sequence[str],
    classes: Sequence[str],
    margin: float,
) -> dict[str, Any]:
    """`paired_difference` where a clip may have several classes."""
    rows = np.stack([indicators(labels, classes) for labels in (truth, ours, theirs)], axis=1)
    return paired(rows, _difference, units, margin)


def paired(
    rows: np.ndarray, difference: Callable[[np.ndarray], float], units: Sequence[str], margin: float, worse: int = -1
) -> dict[str, Any]:
    """`paired_difference` of any figure: `difference` gives candidate less champion from some of the `rows`, one a
    clip. `worse` is the sign of a difference that speaks against the candidate: -1, or 1 for an error rate."""
    value = difference(rows)
    drawn = np.array([difference(rows[draw]) for draw in resamples(units)])
    against = worse * (drawn if len(drawn) else np.array([value]))
    return {
        "difference": interval(value, drawn),
        "risk": float((against > margin).mean()),
        "margin": margin,
        "units": len(set(units)),
    }


def _difference(rows: np.ndarray) -> float:
    """`rows` (clips, 3, classes), bool, are truth, ours and theirs."""
    counts = rows.sum(0)
    present = counts.any(0)
    hits = (rows[:, :1] & rows[:, 1:]).sum(0)
    ours, theirs = (2 * hits[:, present] / np.maximum(counts[0, present] + counts[1:, present], 1)).mean(1)
    return float(ours - theirs)

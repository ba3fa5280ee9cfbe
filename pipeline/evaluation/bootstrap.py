"""Uncertainty from drawing whole speakers again: clips of one speaker are alike, so clips alone would look too sure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.evaluation.metrics import indicators

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


@dataclass(frozen=True)
class Difference:
    """A candidate's metric less the champion's.

    `interval` has `value`, `low` and `high` (95%); `worse_by` is by how much the candidate is worse in each bootstrap
    draw, or on the clips as they are where there are fewer than two units.
    """

    interval: dict[str, float | None]
    units: int
    worse_by: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, without the draws."""
        return {"difference": self.interval, "units": self.units}


def with_risk(champion: Mapping[str, Any], worse_by: Sequence[float], margin: float) -> dict[str, Any]:
    """An evaluation's `champion` with the `margin` that a gate allows and the `risk`, 0 to 1: the share of draws in
    which the candidate is worse by more. As it is where nothing was compared."""
    if not worse_by:
        return dict(champion)
    return {**champion, "risk": float((np.array(worse_by) > margin).mean()), "margin": margin}


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
    truth: Sequence[Sequence[str]],
    ours: Sequence[Sequence[str]],
    theirs: Sequence[Sequence[str]],
    units: Sequence[str],
    classes: Sequence[str],
) -> Difference:
    """Candidate less champion in macro-F1 on the same clips, both drawn together, whole units at a time.

    `truth`, `ours` and `theirs` hold each clip's classes. A class that is absent from a draw, in truth and in both
    answers, is left out of that draw's means.
    """
    rows = np.stack([indicators(labels, classes) for labels in (truth, ours, theirs)], axis=1)
    return paired(rows, _difference, units)


def paired(
    rows: np.ndarray, difference: Callable[[np.ndarray], float], units: Sequence[str], worse: int = -1
) -> Difference:
    """The difference of any metric: `difference` gives candidate less champion from some of the `rows`, one a clip.
    `worse` is the sign of a difference that speaks against the candidate: -1, or 1 for an error rate."""
    value = difference(rows)
    drawn = np.array([difference(rows[draw]) for draw in resamples(units)])
    against = worse * (drawn if len(drawn) else np.array([value]))
    return Difference(interval(value, drawn), len(set(units)), tuple(against.tolist()))


def _difference(rows: np.ndarray) -> float:
    """`rows` (clips, 3, classes), bool, are truth, ours and theirs."""
    counts = rows.sum(0)
    present = counts.any(0)
    hits = (rows[:, :1] & rows[:, 1:]).sum(0)
    ours, theirs = (2 * hits[:, present] / np.maximum(counts[0, present] + counts[1:, present], 1)).mean(1)
    return float(ours - theirs)

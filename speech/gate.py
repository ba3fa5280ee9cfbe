"""The gate: what a bundle must pass before it may serve. Pure, so that every door can check it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class GateRefused(ValueError):
    """A bundle does not pass the gate; the message says which conditions failed and by how much."""


@dataclass(frozen=True)
class Gate:
    """Conditions on test figures. F1 values run from 0 to 1."""

    min_macro_f1: float = 0.5
    max_regression: float = 0.01  # how far below the champion, on the same clips, macro-F1 may fall
    allow_zero_class: bool = False  # whether a class with F1 = 0 may pass


@dataclass(frozen=True)
class Condition:
    """One condition's outcome: `passed`, and a sentence with the figures."""

    name: str
    passed: bool
    detail: str


def check(gate: Gate, metrics: Mapping[str, Any]) -> list[Condition]:
    """Hold test figures against the gate.

    `metrics` is an evaluation's result: `macro_f1`, `per_class` (name to a dict with `f1`), and, where a champion was
    compared on the same clips, `champion` (a dict with `bundle`, `macro_f1` and `candidate_macro_f1`). A figure that
    is missing or no finite number fails its condition.
    """
    macro = _figure(metrics.get("macro_f1"))
    conditions = [
        Condition(
            "minimum_macro_f1",
            macro is not None and macro >= gate.min_macro_f1,
            f"macro-F1 {_show(macro)}, at least {gate.min_macro_f1:.3f} is asked for",
        )
    ]
    scores = {name: _figure(row.get("f1")) for name, row in metrics.get("per_class", {}).items()}
    zero = [name for name, score in scores.items() if score is None or score <= 0.0]
    conditions.append(
        Condition(
            "no_class_at_zero",
            bool(scores) and (not zero or gate.allow_zero_class),
            f"classes never recognised: {', '.join(zero)}{' (allowed)' if gate.allow_zero_class else ''}"
            if zero
            else "every class is recognised at least once",
        )
    )
    champion = metrics.get("champion") or {}
    if champion.get("macro_f1") is None:
        detail = champion.get("left_out") or "no champion to compare with"
        conditions.append(Condition("not_worse_than_champion", True, detail))
    else:
        theirs, ours = _figure(champion["macro_f1"]), _figure(champion.get("candidate_macro_f1"))
        conditions.append(
            Condition(
                "not_worse_than_champion",
                theirs is not None and ours is not None and ours >= theirs - gate.max_regression,
                f"macro-F1 {_show(ours)} against {_show(theirs)} of {champion.get('bundle')} on the same clips, "
                f"{gate.max_regression:.3f} less would pass",
            )
        )
    return conditions


def require(gate: Gate, metrics: Mapping[str, Any]) -> list[Condition]:
    """`check`, raising `GateRefused` with every failed condition."""
    conditions = check(gate, metrics)
    failed = [f"{condition.name}: {condition.detail}" for condition in conditions if not condition.passed]
    if failed:
        raise GateRefused("the gate refuses this bundle, the service stays as it is. " + "; ".join(failed))
    return conditions


def _figure(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e9 < value < 1e9 else None


def _show(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"

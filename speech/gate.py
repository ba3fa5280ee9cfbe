"""The gate: what a bundle must pass before it may serve. Pure, so that every door can check it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict


class GateRefused(ValueError):
    """A bundle does not pass the gate; the message says which conditions failed and by how much."""


@dataclass(frozen=True)
class Gate:
    """Conditions on test figures. F1 values and probabilities run from 0 to 1."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # for whoever reads a gate from a file

    min_macro_f1: float = 0.5
    max_regression: float = 0.01  # how far below the champion, on the same clips, macro-F1 may fall
    max_regression_risk: float = 0.5  # greatest probability that it falls further, by a bootstrap over speakers
    allow_zero_class: bool = False  # whether a class with F1 = 0 may pass
    min_class_f1: Mapping[str, float] = field(default_factory=dict)  # least F1 of single classes
    override: str | None = None  # why this model serves though conditions fail; None: then it does not


@dataclass(frozen=True)
class Condition:
    """One condition's outcome: `passed`, and a sentence with the figures."""

    name: str
    passed: bool
    detail: str


def check(gate: Gate, metrics: Mapping[str, Any]) -> list[Condition]:
    """Hold test figures against the gate.

    `metrics` is an evaluation's result: `macro_f1`, `per_class` (name to a dict with `f1`), and, where a champion was
    compared on the same clips, `champion` (a dict with `bundle`, `macro_f1`, `candidate_macro_f1` and `risk`, the
    probability that the candidate is worse by more than `margin`). A figure that is missing or no finite number fails
    its condition.
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
    low = [
        f"{name} {_show(scores.get(name))} (at least {least:.3f})"
        for name, least in gate.min_class_f1.items()
        if (score := scores.get(name)) is None or score < least
    ]
    detail = f"F1 too low: {', '.join(low)}" if low else "every class with a floor of its own reaches it"
    conditions.append(Condition("class_floors", not low, detail))
    conditions.append(_against_champion(gate, metrics.get("champion") or {}))
    return conditions


def _against_champion(gate: Gate, champion: Mapping[str, Any]) -> Condition:
    name = "not_worse_than_champion"
    if champion.get("macro_f1") is None:
        return Condition(name, True, champion.get("left_out") or "no champion to compare with")
    theirs, ours = _figure(champion["macro_f1"]), _figure(champion.get("candidate_macro_f1"))
    risk = _figure(champion.get("risk"))
    return Condition(
        name,
        theirs is not None
        and ours is not None
        and risk is not None
        and champion.get("margin") == gate.max_regression
        and risk <= gate.max_regression_risk,
        f"macro-F1 {_show(ours)} against {_show(theirs)} of {champion.get('bundle')} on the same clips; worse by more "
        f"than {gate.max_regression:.3f} with probability {_show(risk)}, up to {gate.max_regression_risk:.3f} passes",
    )


def require(gate: Gate, metrics: Mapping[str, Any]) -> list[Condition]:
    """`check`, raising `GateRefused` with every failed condition, unless the gate carries an override.

    An override hides nothing: the conditions come back as failed as they are, for the caller to log.
    """
    conditions = check(gate, metrics)
    refused = failed(conditions)
    if refused and not gate.override:
        raise GateRefused("the gate refuses this bundle, the service stays as it is. " + "; ".join(refused))
    return conditions


def failed(conditions: Sequence[Condition]) -> list[str]:
    """A sentence per condition that failed."""
    return [f"{condition.name}: {condition.detail}" for condition in conditions if not condition.passed]


def _figure(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e9 < value < 1e9 else None


def _show(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"

"""The gate: what a bundle must pass before it may serve. Without side effects, so that publishing checks it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict


class GateRefused(ValueError):
    """A bundle does not pass the gate; the message says which conditions failed and by how much."""


# One-sided level at which a candidate is held to be no worse (non-inferiority). With 0.5, one that is nearly as likely
# as not to be worse by more than the margin would serve.
MOST_RISK = 0.1


@dataclass(frozen=True)
class Condition:
    """One condition's outcome: `passed`, and a sentence with the figures."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Gate:
    """Conditions on test figures. F1 values and probabilities run from 0 to 1."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # for whoever reads a gate from a file

    min_macro_f1: float = 0.5
    max_regression: float = 0.01  # how far below the champion, on the same clips, macro-F1 may fall
    max_regression_risk: float = MOST_RISK  # greatest probability that it falls further, by a bootstrap over speakers
    allow_zero_class: bool = False  # whether a class with F1 = 0 may pass
    min_class_f1: Mapping[str, float] = field(default_factory=dict)  # least F1 of single classes
    override: str | None = None  # why this model serves though conditions fail; None: then it does not

    def conditions(self, metrics: Mapping[str, Any]) -> list[Condition]:
        """Hold an evaluation's figures against the gate.

        `metrics`: `macro_f1`, `per_class` (name to a dict with `f1`), and, where a champion was compared on the same
        clips, `champion` (a dict with `bundle`, `macro_f1`, `candidate_macro_f1` and `risk`, the probability that the
        candidate is worse by more than `margin`).
        """
        macro = _figure(metrics.get("macro_f1"))
        conditions = [
            Condition(
                "minimum_macro_f1",
                macro is not None and macro >= self.min_macro_f1,
                f"macro-F1 {_show(macro)}, at least {self.min_macro_f1:.3f} is asked for",
            )
        ]
        scores = {name: _figure(row.get("f1")) for name, row in metrics.get("per_class", {}).items()}
        zero = [name for name, score in scores.items() if score is None or score <= 0.0]
        conditions.append(
            Condition(
                "no_class_at_zero",
                bool(scores) and (not zero or self.allow_zero_class),
                f"classes never recognised: {', '.join(zero)}{' (allowed)' if self.allow_zero_class else ''}"
                if zero
                else "every class is recognised at least once",
            )
        )
        low = [
            f"{name} {_show(scores.get(name))} (at least {least:.3f})"
            for name, least in self.min_class_f1.items()
            if (score := scores.get(name)) is None or score < least
        ]
        detail = f"F1 too low: {', '.join(low)}" if low else "every class with a floor of its own reaches it"
        conditions.append(Condition("class_floors", not low, detail))
        conditions.append(_against_champion(self, metrics.get("champion") or {}, "macro_f1", "macro-F1"))
        return conditions


@dataclass(frozen=True)
class WerGate:
    """Conditions on a recogniser's word error rate (WER): 0 is no error, and more than 1 is possible."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # for whoever reads a gate from a file

    max_wer: float = 0.2
    max_regression: float = 0.01  # how far above the champion's, on the same clips, WER may rise
    max_regression_risk: float = MOST_RISK  # greatest probability that it rises further, by a bootstrap over speakers
    override: str | None = None  # why this model serves though conditions fail; None: then it does not

    def conditions(self, metrics: Mapping[str, Any]) -> list[Condition]:
        """Hold an evaluation's figures against the gate.

        `metrics`: `wer`, `words` (of the references, on which it was measured), and `champion` as `Gate` has it, with
        `wer` and `candidate_wer`.
        """
        wer, words = _figure(metrics.get("wer")), _figure(metrics.get("words"))
        measured = wer is not None and wer >= 0 and words is not None and words > 0
        return [
            Condition(
                "maximum_wer",
                measured and wer is not None and wer <= self.max_wer,
                f"WER {_show(wer)} on {'unknown' if words is None else int(words)} words of the test split, at most "
                f"{self.max_wer:.3f} is asked for",
            ),
            _against_champion(self, metrics.get("champion") or {}, "wer", "WER"),
        ]


AnyGate = Gate | WerGate


def check(gate: AnyGate, metrics: Mapping[str, Any]) -> list[Condition]:
    """The outcome of each of the gate's conditions. A figure that is missing or no finite number fails its own."""
    return gate.conditions(metrics)


def _against_champion(gate: AnyGate, champion: Mapping[str, Any], figure: str, called: str) -> Condition:
    name = "not_worse_than_champion"
    if champion.get(figure) is None:
        return Condition(name, True, champion.get("left_out") or "no champion to compare with")
    theirs, ours = _figure(champion[figure]), _figure(champion.get(f"candidate_{figure}"))
    risk = _figure(champion.get("risk"))
    return Condition(
        name,
        theirs is not None
        and ours is not None
        and risk is not None
        and champion.get("margin") == gate.max_regression
        and risk <= gate.max_regression_risk,
        f"{called} {_show(ours)} against {_show(theirs)} of {champion.get('bundle')} on the same clips; worse by more "
        f"than {gate.max_regression:.3f} with probability {_show(risk)}, up to {gate.max_regression_risk:.3f} passes",
    )


def require(gate: AnyGate, metrics: Mapping[str, Any]) -> list[Condition]:
    """`check`, raising `GateRefused` with every failed condition, unless the gate carries an override.

    With an override the failed conditions are returned as failed, for the caller to log.
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

from __future__ import annotations

from typing import Any

import pytest

from speech.gate import Gate, GateRefused, check, require
from tests.bundles import METRICS


def failed(metrics: dict[str, Any], gate: Gate | None = None) -> list[str]:
    return [condition.name for condition in check(gate or Gate(), metrics) if not condition.passed]


def scores(**f1: float) -> dict[str, Any]:
    return METRICS | {"per_class": METRICS["per_class"] | {name: {"f1": value} for name, value in f1.items()}}


def champion(ours: float | None, theirs: float | None) -> dict[str, Any]:
    return METRICS | {"champion": {"bundle": "old", "macro_f1": theirs, "candidate_macro_f1": ours}}


def test_good_figures_pass_every_condition() -> None:
    assert failed(METRICS) == []
    assert len(require(Gate(), METRICS)) == 3


@pytest.mark.parametrize("value", [0.49, 0.0, None, float("nan"), float("inf"), "0.9", True])
def test_macro_f1_below_the_minimum_or_no_number_fails(value: object) -> None:
    assert failed(METRICS | {"macro_f1": value}) == ["minimum_macro_f1"]


def test_macro_f1_at_the_minimum_passes() -> None:
    assert failed(METRICS | {"macro_f1": 0.5}) == []


def test_missing_figures_fail() -> None:
    assert failed({}) == ["minimum_macro_f1", "no_class_at_zero"]


def test_a_class_never_recognised_fails_unless_allowed() -> None:
    assert failed(scores(stutter=0.0)) == ["no_class_at_zero"]
    assert failed(scores(stutter=float("nan"))) == ["no_class_at_zero"]
    assert failed(scores(stutter=0.0), Gate(allow_zero_class=True)) == []


@pytest.mark.parametrize(("ours", "passes"), [(0.85, True), (0.80, True), (0.795, True), (0.78, False), (None, False)])
def test_the_champion_may_be_missed_by_the_margin_only(ours: float | None, passes: bool) -> None:
    assert failed(champion(ours, 0.80), Gate(max_regression=0.01)) == ([] if passes else ["not_worse_than_champion"])


def test_a_champion_left_out_is_said_and_does_not_hinder() -> None:
    metrics = METRICS | {"champion": {"bundle": "old", "macro_f1": None, "left_out": "its classes differ"}}
    assert check(Gate(), metrics)[-1].detail == "its classes differ"
    assert failed(metrics) == []


def test_a_refusal_names_every_failed_condition_with_its_figures() -> None:
    with pytest.raises(GateRefused, match=r"minimum_macro_f1: macro-F1 0\.300.*0\.500.*no_class_at_zero.*burr"):
        require(Gate(), scores(burr=0.0) | {"macro_f1": 0.3})

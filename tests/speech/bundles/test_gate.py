from __future__ import annotations

from typing import Any

import pytest

from speech.bundles.gate import Gate, GateRefused, WerGate, check, require
from tests.bundles import METRICS


def failed(metrics: dict[str, Any], gate: Gate | None = None) -> list[str]:
    return [condition.name for condition in check(gate or Gate(), metrics) if not condition.passed]


def scores(**f1: float) -> dict[str, Any]:
    return METRICS | {"per_class": METRICS["per_class"] | {name: {"f1": value} for name, value in f1.items()}}


def champion(risk: float | None, margin: float = 0.01) -> dict[str, Any]:
    compared = {"bundle": "old", "macro_f1": 0.8, "candidate_macro_f1": 0.78, "risk": risk, "margin": margin}
    return METRICS | {"champion": compared}


def test_good_figures_pass_every_condition() -> None:
    assert failed(METRICS) == []
    assert len(require(Gate(), METRICS)) == 4


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


@pytest.mark.parametrize(("risk", "passes"), [(0.0, True), (0.2, True), (0.21, False), (None, False), ("0", False)])
def test_the_champion_may_be_missed_with_the_risk_allowed_only(risk: Any, passes: bool) -> None:
    assert failed(champion(risk), Gate(max_regression_risk=0.2)) == ([] if passes else ["not_worse_than_champion"])


def test_a_risk_of_another_margin_says_nothing() -> None:
    assert failed(champion(0.0, margin=0.5)) == ["not_worse_than_champion"]


def test_a_class_may_have_a_floor_of_its_own() -> None:
    assert failed(scores(burr=0.69), Gate(min_class_f1={"burr": 0.7})) == ["class_floors"]
    assert failed(scores(burr=0.7), Gate(min_class_f1={"burr": 0.7})) == []
    assert failed(METRICS, Gate(min_class_f1={"lisp": 0.1})) == ["class_floors"]


def test_an_override_lets_pass_and_hides_nothing() -> None:
    conditions = require(Gate(min_macro_f1=1.0, override="the old model is withdrawn"), METRICS)
    assert [condition.name for condition in conditions if not condition.passed] == ["minimum_macro_f1"]
    with pytest.raises(GateRefused):
        require(Gate(min_macro_f1=1.0, override=""), METRICS)


def test_a_champion_left_out_is_said_and_does_not_hinder() -> None:
    metrics = METRICS | {"champion": {"bundle": "old", "macro_f1": None, "left_out": "its classes differ"}}
    assert check(Gate(), metrics)[-1].detail == "its classes differ"
    assert failed(metrics) == []


def test_a_refusal_names_every_failed_condition_with_its_figures() -> None:
    with pytest.raises(GateRefused, match=r"minimum_macro_f1: macro-F1 0\.300.*0\.500.*no_class_at_zero.*burr"):
        require(Gate(), scores(burr=0.0) | {"macro_f1": 0.3})


WER = {"wer": 0.15, "words": 200}


def outcome(gate: WerGate, metrics: dict) -> dict[str, bool]:
    return {condition.name: condition.passed for condition in check(gate, metrics)}


@pytest.mark.parametrize(
    ("metrics", "passes"),
    [
        (WER, True),
        (WER | {"wer": 0.2}, True),
        (WER | {"wer": 0.2001}, False),
        (WER | {"wer": 0.0}, True),
        (WER | {"wer": -0.1}, False),
        (WER | {"wer": float("nan")}, False),
        (WER | {"wer": True}, False),
        (WER | {"words": 0}, False),
        ({"wer": 0.1}, False),
        ({"words": 200}, False),
    ],
)  # fmt: skip
def test_word_errors_must_be_known_and_few(metrics: dict, passes: bool) -> None:
    assert outcome(WerGate(max_wer=0.2), metrics) == {"maximum_wer": passes, "not_worse_than_champion": True}


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({}, True),
        ({"risk": 0.11}, False),
        ({"risk": None}, False),
        ({"margin": 0.5}, False),
        ({"candidate_wer": None}, False),
        ({"wer": None}, True),
    ],
)  # fmt: skip
def test_word_errors_are_held_against_the_champion_s(change: dict, passes: bool) -> None:
    champion = {"bundle": "asr-1", "wer": 0.14, "candidate_wer": 0.15, "risk": 0.1, "margin": 0.01} | change
    assert outcome(WerGate(), WER | {"champion": champion})["not_worse_than_champion"] is passes


def test_what_refuses_a_recogniser_is_said_with_its_figures() -> None:
    with pytest.raises(GateRefused, match=r"maximum_wer: WER 0\.310 on 812 words of the test split, at most 0\.150"):
        require(WerGate(max_wer=0.15), {"wer": 0.31, "words": 812})
    assert not all(one.passed for one in require(WerGate(override="a trial"), {"wer": 0.9, "words": 1}))

"""A gate with its default settings asks a candidate to be shown no worse than the bundle in service."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.defects.settings import DefectBundleSettings
from pipeline.recognition.settings import AsrBundleSettings
from speech.bundles.gate import AnyGate, Gate, WerGate, check

GATES: list[AnyGate] = [Gate(), DefectBundleSettings().gate, WerGate(), AsrBundleSettings().gate]


def outcome(gate: AnyGate, champion: dict[str, Any]) -> bool:
    metrics = {"macro_f1": 0.8, "per_class": {}, "wer": 0.1, "words": 500, "champion": champion}
    (condition,) = [one for one in check(gate, metrics) if one.name == "not_worse_than_champion"]
    return condition.passed


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    ("risk", "passes"), [(0.0, True), (0.04, True), (0.11, False), (0.2, False), (0.49, False), (1.0, False)]
)
def test_a_candidate_that_may_well_be_worse_does_not_pass(gate: AnyGate, risk: float, passes: bool) -> None:
    scores = {"macro_f1": 0.81, "candidate_macro_f1": 0.8, "wer": 0.1, "candidate_wer": 0.11}
    assert outcome(gate, scores | {"bundle": "old", "risk": risk, "margin": gate.max_regression}) is passes


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("champion", [{}, {"bundle": None, "left_out": "no bundle is in service yet"}])
def test_a_first_bundle_has_nothing_to_be_worse_than(gate: AnyGate, champion: dict[str, Any]) -> None:
    assert outcome(gate, champion)

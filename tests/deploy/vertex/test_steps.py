"""What stands between the steps: the settings with the pipeline's parameters, the folders handed on, the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.run_config import RunConfigError
from deploy.vertex import steps
from deploy.vertex.steps import BUNDLE, EVALUATION, RECOGNISER, read_run_config, validate
from pipeline.evaluation import ANSWERS, METRICS, WORSE_BY
from pipeline.store import StageStore
from speech.files import write_json
from speech.home import Home

FIGURES = {"wer": 0.21, "cer": 0.1, "clips": 9, "words": 100, "champion": {"left_out": "there is none"}}
JUDGING = {"compare_champion": True}


def test_the_parameters_take_their_places_in_the_run_configuration() -> None:
    recipe = read_run_config("ops: {recogniser: {config: {epochs: 3, seed: 1}}, asr_bundle: }", 7.0, 0.3)
    assert recipe["ops"] == {
        RECOGNISER: {"config": {"epochs": 7.0, "seed": 1}},
        BUNDLE: {"config": {"publish": False, "max_wer": 0.3}},
    }
    before = read_run_config("ops: {asr_evaluation: {config: {max_wer: 0.4}}}")  # where it stood once
    assert before["ops"][BUNDLE] == {"config": {"publish": False, "max_wer": 0.4}}
    with pytest.raises(RunConfigError, match="ops"):
        read_run_config("- a list")


def test_what_a_step_hands_on_stands_in_the_next_ones_data_folder(tmp_path: Path) -> None:
    first, second = Home(tmp_path / "first"), Home(tmp_path / "second")

    def make(folder: Path) -> dict[str, Any]:
        (folder / "weights").write_bytes(b"w")
        return {"steps": 1}

    made = StageStore(first).build(RECOGNISER, 1, {}, {}, make)
    StageStore(first).remember("run", made)
    steps._hand_on(first, (RECOGNISER,), tmp_path / "handed")
    steps._take_up(tmp_path / "handed", second)
    found = StageStore(second).recall((), RECOGNISER)
    assert (found.key, found.summary) == (made.key, made.summary)
    assert (found.folder / "weights").read_bytes() == b"w"


def evaluation(folder: Path, **figures: float) -> Path:
    store = StageStore(Home(folder))

    def make(inside: Path) -> dict[str, Any]:
        write_json(inside / METRICS, FIGURES | figures)
        write_json(inside / ANSWERS, [])
        write_json(inside / WORSE_BY, [])
        return {}

    store.remember("run", store.build(EVALUATION, 1, JUDGING, {}, make))
    return folder


def test_the_gate_refuses_says_why_and_can_be_overridden(tmp_path: Path) -> None:
    recipe = read_run_config("ops: {}")
    refused = validate(recipe, evaluation(tmp_path / "refused"))
    assert refused.outcome == "invalid"
    assert any("maximum_wer FAILED" in reason and "0.21" in reason for reason in refused.reasons)
    assert validate(recipe, evaluation(tmp_path / "passed", wer=0.1)).outcome == "valid"
    overriding = read_run_config("ops: {asr_bundle: {config: {override_gate: a demonstration}}}")
    overridden = validate(overriding, tmp_path / "refused")
    assert overridden.outcome == "valid"
    assert "OVERRIDDEN: a demonstration" in overridden.reasons[0]


def test_only_numbers_are_listed_beside_a_run() -> None:
    assert steps.shown(FIGURES | {"validation_wer": None}) == {"wer": 0.21, "cer": 0.1, "clips": 9.0, "words": 100.0}

"""The job `train` on a small archive: what is made, what is made again, and what a failure leaves."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult

from pipeline.definitions import defs
from speech.bundles.defects import load_bundle, read_config, read_gate
from speech.files import read_json
from speech.home import Home
from speech.serving.pointer import publish, read_pointer
from tests.archives import write_archive
from tests.bundles import ENCODER

pytestmark = pytest.mark.long

STAGES = ("archive", "clips", "transcripts", "markers", "encoder", "heads", "calibration", "evaluation", "bundle")
TRAINING = {"epochs": 1, "batch_size": 8, "precision": "fp32", "device": "cpu"}
CONFIG: dict[str, dict[str, Any]] = {
    "archive": {"namespaces": ["tones"]},
    "clips": {"min_speech_seconds": 0, "min_clips_per_class": 1, "test_share": 0.25, "validation_share": 0.2},
    "transcripts": {"source": "text_column"},
    "markers": {},
    "encoder": {"architecture": ENCODER | {"mask_time_prob": 0.0}, "unit": "clip", **TRAINING},
    "heads": {"freeze_features": False, "width": 16, **TRAINING},
    "calibration": {},
    "evaluation": {},
    "bundle": {"min_macro_f1": 0.0, "allow_zero_class": True, "max_regression": 1.0},
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archives") / "tones.zip")


@pytest.fixture(scope="module")
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="module")
def trained_home(
    archive: Path, instance: DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Home, ExecuteInProcessResult]]:
    """A data folder in which one run has succeeded."""
    home = Home(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VNYATNO_HOME", str(home.root))
        patch.setenv("VNYATNO_ARCHIVE_ROOTS", str(archive.parent))
        yield home, launch(archive, instance)


def launch(zipped: Path, instance: DagsterInstance, **changes: dict[str, Any]) -> ExecuteInProcessResult:
    config = copy.deepcopy(CONFIG)
    config["archive"]["sources"] = [str(zipped)]
    for stage, values in changes.items():
        config[stage] |= values
    run_config = {"ops": {stage: {"config": values} for stage, values in config.items()}}
    return defs.resolve_job_def("train").execute_in_process(run_config, instance, raise_on_error=False)


def metadata(result: ExecuteInProcessResult, stage: str) -> dict[str, Any]:
    (event,) = [event for event in result.get_asset_materialization_events() if event.step_key == stage]
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def reused(result: ExecuteInProcessResult) -> set[str]:
    return {stage for stage in STAGES if metadata(result, stage)["reused"]}


def failure(result: ExecuteInProcessResult) -> tuple[str, str]:
    """The stage that failed and the innermost error's message."""
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.event_specific_data.error  # type: ignore[union-attr]
    while error.cause is not None:
        error = error.cause
    return str(event.step_key), error.message


def test_run_publishes_a_bundle_that_loads(trained_home: tuple[Home, ExecuteInProcessResult]) -> None:
    home, result = trained_home
    assert result.success
    assert reused(result) == set()
    made = metadata(result, "bundle")
    pointer = read_pointer(home)
    assert pointer is not None
    assert pointer.current == made["bundle_id"]
    bundle = load_bundle(home.bundles / pointer.current)
    assert bundle.model.spec.classes == ("none", "burr", "fricative_g", "stutter")
    assert bundle.model.spec.marked == (True, True, True, False)
    assert bundle.config.lineage["run"] == result.run_id
    checks = {check.check_name for check in result.get_asset_check_evaluations()}
    assert checks == {"minimum_macro_f1", "no_class_at_zero", "class_floors", "not_worse_than_champion"}


def test_test_speakers_are_in_no_training_split(trained_home: tuple[Home, ExecuteInProcessResult]) -> None:
    from pipeline.clips.dataset import ClipSet

    _, result = trained_home
    clips = ClipSet.load(Path(metadata(result, "clips")["folder"]))
    speakers = {split: {r.speaker for r in clips.of_split(split)} for split in ("train", "validation", "test")}
    assert all(speakers.values())
    assert not speakers["test"] & (speakers["train"] | speakers["validation"])


def test_equal_run_makes_nothing_again(
    archive: Path, instance: DagsterInstance, trained_home: tuple[Home, ExecuteInProcessResult]
) -> None:
    again = launch(archive, instance)
    assert again.success
    assert reused(again) == set(STAGES) - {"evaluation"}  # the champion is another one now: there is one
    assert metadata(again, "bundle")["bundle_id"] == metadata(trained_home[1], "bundle")["bundle_id"]


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("clips", {"seed": 7}),
        ("transcripts", {"model": "base.en"}),
        ("markers", {"min_word_probability": 0.6}),
        ("encoder", {"learning_rate": 2e-4}),
        ("heads", {"learning_rate": 2e-4}),
        ("calibration", {"max_accepted_error": 0.2}),
        ("bundle", {"max_seconds": 45.0}),
    ],
)
@pytest.mark.usefixtures("trained_home")
def test_one_setting_reruns_its_stage_and_what_follows(
    archive: Path, instance: DagsterInstance, stage: str, change: dict[str, Any]
) -> None:
    result = launch(archive, instance, **{stage: change})
    assert result.success
    assert reused(result) - {"evaluation"} == set(STAGES[: STAGES.index(stage)]) - {"evaluation"}


@pytest.mark.parametrize(
    ("changes", "stage", "message"),
    [
        ({"heads": {"learning_rate": 0.0}}, "archive", "ops.heads.config.learning_rate"),
        ({"archive": {"sources": ["nowhere.zip"]}}, "archive", "nowhere.zip"),
        ({"clips": {"min_clips_per_class": 30}}, "clips", "30"),
        ({"bundle": {"min_macro_f1": 1.0, "allow_zero_class": False}}, "bundle", "the gate refuses"),
    ],
)
def test_failed_run_says_why_and_leaves_the_service_as_it_was(
    archive: Path,
    instance: DagsterInstance,
    trained_home: tuple[Home, ExecuteInProcessResult],
    changes: dict[str, dict[str, Any]],
    stage: str,
    message: str,
) -> None:
    home, _ = trained_home
    pointer, bundles = read_pointer(home), sorted(home.bundles.iterdir())
    failed, text = failure(launch(archive, instance, **changes))
    assert failed == stage
    assert message in text
    assert read_pointer(home) == pointer
    assert sorted(home.bundles.iterdir()) == bundles


@pytest.mark.usefixtures("trained_home")
def test_an_override_serves_a_refused_model_and_is_written_down(
    archive: Path, instance: DagsterInstance, trained_home: tuple[Home, ExecuteInProcessResult]
) -> None:
    home, _ = trained_home
    reason = "a trial on synthetic voices, agreed with the therapist"
    result = launch(archive, instance, bundle={"min_macro_f1": 1.0, "override_gate": reason})
    assert result.success
    pointer = read_pointer(home)
    assert pointer is not None
    folder = home.bundles / pointer.current
    assert read_gate(read_config(folder)).override == reason
    assert reason in (folder / "README.md").read_text(encoding="utf-8")
    assert publish(home, pointer.current)[0].passed is False  # the door says what failed, and lets it pass again
    logged = [record.user_message for record in instance.all_logs(result.run_id) if record.level == logging.WARNING]
    assert any(reason in line and "minimum_macro_f1" in line for line in logged)


def test_bundle_alone_cannot_pass_by_a_failed_gate(
    archive: Path, instance: DagsterInstance, trained_home: tuple[Home, ExecuteInProcessResult]
) -> None:
    home, _ = trained_home
    assert not launch(archive, instance, bundle={"min_macro_f1": 1.0}).success
    pointer = read_pointer(home)
    alone = defs.resolve_job_def("train").execute_in_process(
        {"ops": {"bundle": {"config": {}}}}, instance, raise_on_error=False, asset_selection=[defs_key("bundle")]
    )
    stage, text = failure(alone)
    assert stage == "bundle"
    assert "minimum_macro_f1" in text
    assert read_pointer(home) == pointer


def test_a_time_limit_or_what_is_published_makes_nothing_again(
    archive: Path, instance: DagsterInstance, trained_home: tuple[Home, ExecuteInProcessResult]
) -> None:
    changed = launch(archive, instance, clips={"decoder_timeout_seconds": 30.0}, bundle={"publish": False})
    assert reused(changed) | {"evaluation"} == set(STAGES)
    assert metadata(changed, "bundle")["bundle_id"] == metadata(trained_home[1], "bundle")["bundle_id"]


def test_another_gate_trains_and_judges_nothing_again(
    archive: Path, instance: DagsterInstance, trained_home: tuple[Home, ExecuteInProcessResult]
) -> None:
    launch(archive, instance)
    stricter = launch(archive, instance, bundle={"max_regression_risk": 0.9})
    assert reused(stricter) == set(STAGES) - {"bundle"}
    assert metadata(stricter, "bundle")["bundle_id"] != metadata(trained_home[1], "bundle")["bundle_id"]


def test_bundle_alone_does_not_join_what_was_trained_with_other_data(
    archive: Path, instance: DagsterInstance, trained_home: tuple[Home, ExecuteInProcessResult]
) -> None:
    home, _ = trained_home
    trained = launch(archive, instance)
    other = write_archive(archive.parent / "others.zip", speakers=12)
    data = {
        "archive": {"config": {"sources": [str(other)], "namespaces": ["others"]}},
        "clips": {"config": {"min_speech_seconds": 0}},
    }
    evaluated = defs.resolve_job_def("evaluate").execute_in_process(
        {"ops": data | {"scores": {"config": {}}}}, instance
    )
    pointer, bundles = read_pointer(home), sorted(home.bundles.iterdir())
    alone = {"ops": {"bundle": {"config": CONFIG["bundle"] | {"max_seconds": 44.0}}}}
    refused = defs.resolve_job_def("train").execute_in_process(
        alone, instance, raise_on_error=False, asset_selection=[defs_key("bundle")]
    )
    stage, text = failure(refused)
    assert stage == "bundle"
    assert "do not belong together" in text
    ours, theirs = (Path(metadata(run, "clips")["folder"]).name for run in (trained, evaluated))
    assert f"was made from clips {ours}, but clips {theirs} (run {evaluated.run_id})" in text
    assert "Launch the whole job on the data that you mean" in text
    assert f"launch clips once more with the data and settings of run {trained.run_id}, then bundle" in text
    assert (read_pointer(home), sorted(home.bundles.iterdir())) == (pointer, bundles)
    data = {"archive": {"config": {"sources": [str(archive)], "namespaces": ["tones"]}}}
    defs.resolve_job_def("train").execute_in_process(  # what the message says
        {"ops": data | {"clips": {"config": CONFIG["clips"]}}},
        instance,
        asset_selection=[defs_key("archive"), defs_key("clips")],
    )
    done = defs.resolve_job_def("train").execute_in_process(alone, instance, asset_selection=[defs_key("bundle")])
    assert read_config(home.bundles / metadata(done, "bundle")["bundle_id"]).lineage["clips"] == ours


def test_settings_of_the_gate_are_taken_where_they_stood_once(
    archive: Path, instance: DagsterInstance, trained_home: tuple[Home, ExecuteInProcessResult]
) -> None:
    before = {"min_macro_f1": 0.0, "allow_zero_class": True, "max_regression": 1.0, "max_accepted_error": 0.1}
    config = {stage: values for stage, values in copy.deepcopy(CONFIG).items() if stage != "bundle"}
    config |= {"evaluation": before, "archive": config["archive"] | {"sources": [str(archive)]}}
    run_config = {"ops": {stage: {"config": values} for stage, values in config.items()}}
    result = defs.resolve_job_def("train").execute_in_process(run_config, instance)
    assert metadata(result, "calibration")["reused"]
    made = read_gate(read_config(trained_home[0].bundles / metadata(result, "bundle")["bundle_id"]))
    assert (made.min_macro_f1, made.allow_zero_class, made.max_regression) == (0.0, True, 1.0)


def test_evaluate_job_scores_the_bundle_in_service(
    archive: Path, instance: DagsterInstance, trained_home: tuple[Home, ExecuteInProcessResult]
) -> None:
    home, _ = trained_home
    run_config = {
        "ops": {
            "archive": {"config": {"sources": [str(archive)], "namespaces": ["tones"]}},
            "clips": {"config": CONFIG["clips"]},
            "scores": {"config": {}},
        }
    }
    result = defs.resolve_job_def("evaluate").execute_in_process(run_config, instance)
    figures = metadata(result, "scores")
    pointer = read_pointer(home)
    assert pointer is not None
    assert figures["bundle_id"] == pointer.current
    trained = read_json(Path(metadata(result, "scores")["folder"]) / "metrics.json")["excluded"]
    assert figures["clips"] + trained == 36
    assert trained > figures["clips"] > 0


def defs_key(name: str) -> Any:
    from dagster import AssetKey

    return AssetKey(name)

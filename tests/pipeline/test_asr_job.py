"""The job `asr` on a small archive: what it publishes, what the gate refuses, and that each recipe keeps its own
service. The training is another test's: here a recogniser that hears the archive's texts, or one that does not."""

import io
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from dagster import (
    AssetExecutionContext,
    AssetSelection,
    Config,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    MaterializeResult,
    asset,
    define_asset_job,
    in_process_executor,
)

from pipeline.assets.asr_archive import asr_archive
from pipeline.assets.asr_bundle import asr_bundle
from pipeline.assets.asr_clips import asr_clips
from pipeline.assets.asr_evaluation import asr_evaluation
from pipeline.assets.asr_scores import asr_scores
from pipeline.assets.stage import Stage, result
from pipeline.launchpad import Comet
from pipeline.settings import Settings
from speech.bundles.defects import read_config, read_gate
from speech.bundles.recogniser import load_recogniser_bundle
from speech.ctc.folder import save_recogniser
from speech.ctc.transcription import transcribe
from speech.files import read_json
from speech.home import Home
from speech.serving.history import read_history
from speech.serving.pointer import publish, read_pointer, rollback
from tests.bundles import write_tiny_bundle
from tests.pipeline.test_train_job import failure, metadata
from tests.recognisers import tiny_recogniser
from tests.recordings import hum

HEARS, HEARS_NOT = 0, 1  # seeds
SPEAKERS, CLIPS = 10, 3


class StandInConfig(Settings, Config):
    """Which recogniser the stand-in for the training leaves."""

    name: str = "a stand-in"
    start_from: str | None = None
    seed: int = HEARS


@asset(deps=["asr_clips"])
def recogniser(context: AssetExecutionContext, config: StandInConfig) -> MaterializeResult:
    stage = Stage(context, "recogniser")

    def make(folder: Path) -> dict[str, Any]:
        save_recogniser(tiny_recogniser(folder / "vocabulary", config.seed), folder / "model")
        return {"validation_wer": 0.1, "steps": 1}

    source = stage.after("asr_clips")
    return result(stage.build(1, config, {"asr_clips": source.key}, make), {})


ASSETS = [asr_archive, asr_clips, recogniser, asr_evaluation, asr_bundle]
SCORING = [asr_archive, asr_clips, asr_scores]
DEFINITIONS = Definitions(
    assets=[*ASSETS, asr_scores],
    jobs=[
        define_asset_job("asr", AssetSelection.assets(*ASSETS), executor_def=in_process_executor),
        define_asset_job("asr_evaluate", AssetSelection.assets(*SCORING), executor_def=in_process_executor),
    ],
    resources={"comet": Comet.configure_at_launch()},
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hums whose texts are what the stand-in hears in them."""
    folder = tmp_path_factory.mktemp("archives")
    ears = tiny_recogniser(folder / "vocabulary", HEARS)
    sounds = [hum(1.0 + 0.1 * (number % 4), number) for number in range(SPEAKERS * CLIPS)]
    heard = transcribe(ears, [np.round(sound * 32767).astype(np.int16) / np.float32(32768) for sound in sounds])
    rows = ["file,speaker,text"]
    path = folder / "hums.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for number, (sound, transcript) in enumerate(zip(sounds, heard, strict=True)):
            buffer = io.BytesIO()
            soundfile.write(buffer, sound, 16_000, format="WAV")
            zipped.writestr(f"data_mp3/train/{number}.wav", buffer.getvalue())
            rows.append(f'{number}.wav,voice{number // CLIPS},"{transcript.text.capitalize()}!"')
        zipped.writestr("data_train.csv", "\n".join(rows))
    return path


@pytest.fixture(scope="module")
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="module")
def served(
    archive: Path, instance: DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Home, ExecuteInProcessResult]]:
    """A data folder in which a defects' bundle serves and one run of `asr` has succeeded."""
    home = Home(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VNYATNO_HOME", str(home.root))
        patch.setenv("VNYATNO_ARCHIVE_ROOTS", str(archive.parent))
        publish(home, write_tiny_bundle(home, "defects-tiny").name)
        yield home, launch(archive, instance)


def launch(zipped: Path, instance: DagsterInstance, **changes: dict[str, Any]) -> ExecuteInProcessResult:
    config: dict[str, dict[str, Any]] = {
        "asr_archive": {"sources": [str(zipped)], "namespaces": ["hums"]},
        "asr_clips": {"min_speech_seconds": 0, "language": "ru", "min_clips_per_split": 1, "test_share": 0.4},
        "recogniser": {},
        "asr_evaluation": {},
        "asr_bundle": {},
    }
    for stage, values in changes.items():
        config[stage] |= values
    run_config = {"ops": {stage: {"config": values} for stage, values in config.items()}}
    return DEFINITIONS.resolve_job_def("asr").execute_in_process(run_config, instance, raise_on_error=False)


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_a_good_recogniser_serves_beside_the_defects_model(served: tuple[Home, ExecuteInProcessResult]) -> None:
    home, result = served
    assert result.success
    assert checks(result) == {"maximum_wer": True, "not_worse_than_champion": True}
    pointer, others = read_pointer(home, "asr"), read_pointer(home)
    assert pointer is not None
    assert others is not None
    assert others.current == "defects-tiny"
    assert pointer.current == metadata(result, "asr_bundle")["bundle_id"]
    assert pointer.current.startswith("asr-")
    bundle = load_recogniser_bundle(home.bundles / pointer.current)
    assert bundle.config.lineage["run"] == result.run_id
    assert bundle.metrics["wer"] == metadata(result, "asr_evaluation")["wer"] < 0.1
    assert bundle.metrics["validation_wer"] == 0.1
    assert read_history(home, "asr")[-1].by == f"Dagster run {result.run_id}"


def test_test_speakers_alone_are_judged(served: tuple[Home, ExecuteInProcessResult]) -> None:
    from pipeline.clips.dataset import ClipSet

    _, result = served
    clips = ClipSet.load(Path(metadata(result, "asr_clips")["folder"]))
    speakers = {
        split: {record.speaker for record in clips.of_split(split)} for split in ("train", "validation", "test")
    }
    assert not speakers["test"] & (speakers["train"] | speakers["validation"])
    figures = read_json(Path(metadata(result, "asr_evaluation")["folder"]) / "metrics.json")
    assert {row["speaker"] for row in figures["by_speaker"]} == speakers["test"]


def test_equal_runs_make_nothing_again(
    archive: Path, instance: DagsterInstance, served: tuple[Home, ExecuteInProcessResult]
) -> None:
    again = launch(archive, instance)
    made = {
        stage for stage in ("asr_archive", "asr_clips", "recogniser", "asr_bundle") if metadata(again, stage)["reused"]
    }
    assert made == {"asr_archive", "asr_clips", "recogniser", "asr_bundle"}
    assert metadata(again, "asr_bundle")["bundle_id"] == metadata(served[1], "asr_bundle")["bundle_id"]


@pytest.mark.parametrize(
    ("changes", "failed", "message"),
    [
        ({"recogniser": {"seed": HEARS_NOT}}, {"maximum_wer", "not_worse_than_champion"}, "at most 0.200 is asked for"),
        (
            {"recogniser": {"seed": HEARS_NOT}, "asr_bundle": {"max_wer": 9.0}},
            {"not_worse_than_champion"},
            "worse by more than 0.010 with probability 1.000",
        ),
    ],
)
def test_what_the_gate_refuses_leaves_the_service_as_it_was_and_says_why(
    archive: Path,
    instance: DagsterInstance,
    served: tuple[Home, ExecuteInProcessResult],
    changes: dict[str, dict[str, Any]],
    failed: set[str],
    message: str,
) -> None:
    home, _ = served
    pointer, bundles = read_pointer(home, "asr"), sorted(home.bundles.iterdir())
    refused = launch(archive, instance, **changes)
    assert {name for name, passed in checks(refused).items() if not passed} == failed
    stage, text = failure(refused)
    assert stage == "asr_bundle"
    assert "the gate refuses this bundle, the service stays as it is" in text
    assert message in text
    assert read_pointer(home, "asr") == pointer
    assert sorted(home.bundles.iterdir()) == bundles


def test_an_override_serves_a_refused_recogniser_is_written_down_and_can_be_rolled_back(
    archive: Path, instance: DagsterInstance, served: tuple[Home, ExecuteInProcessResult]
) -> None:
    home, first = served
    reason = "a trial with two readers, who correct every text"
    bad = {"recogniser": {"seed": HEARS_NOT}, "asr_bundle": {"override_gate": reason}}
    overridden = launch(archive, instance, **bad)
    assert overridden.success
    pointer = read_pointer(home, "asr")
    assert pointer is not None
    folder = home.bundles / pointer.current
    assert read_gate(read_config(folder)).override == reason
    assert reason in (folder / "README.md").read_text(encoding="utf-8")
    logged = [record.user_message for record in instance.all_logs(overridden.run_id) if record.level == logging.WARNING]
    assert any(reason in line and "maximum_wer" in line for line in logged)
    assert rollback(home, "asr").current == metadata(first, "asr_bundle")["bundle_id"]
    assert (read_pointer(home) or pointer).current == "defects-tiny"


def test_the_recogniser_in_service_is_scored_on_what_it_was_not_trained_on(
    archive: Path, instance: DagsterInstance, served: tuple[Home, ExecuteInProcessResult]
) -> None:
    home, _ = served
    run_config = {
        "ops": {
            "asr_archive": {"config": {"sources": [str(archive)], "namespaces": ["hums"]}},
            "asr_clips": {
                "config": {"min_speech_seconds": 0, "language": "ru", "min_clips_per_split": 1, "test_share": 0.4}
            },
            "asr_scores": {"config": {}},
        }
    }
    scored = DEFINITIONS.resolve_job_def("asr_evaluate").execute_in_process(run_config, instance)
    figures, pointer = metadata(scored, "asr_scores"), read_pointer(home, "asr")
    assert pointer is not None
    assert figures["bundle_id"] == pointer.current
    assert figures["clips"] + figures["trained_on"] == SPEAKERS * CLIPS
    assert figures["trained_on"] > figures["clips"] > 0
    assert figures["wer"] < 0.1

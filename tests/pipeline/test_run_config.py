"""A run configuration that cannot work is refused before anything is downloaded, field by field."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from pipeline.archive.settings import NO_SOURCE
from pipeline.bundling.selection import bundle_id
from pipeline.defects.settings import STAGES, CalibrationSettings, DefectBundleSettings
from pipeline.evaluation.settings import JudgingSettings
from pipeline.ready import beginning
from pipeline.recognition.settings import AsrBundleSettings
from pipeline.run_config import RunConfigError, check
from speech.bundles.defects import BundleError
from speech.hardware.devices import Card, Hardware
from speech.home import Home
from speech.serving.pointer import publish
from speech.text.language import FOLDER
from tests.bundles import write_tiny_bundle

CONFIGS = FOLDER.parent
CARD = Card("NVIDIA L4", 24_000_000_000, bf16=True)


def config(**stages: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {"archive": {"sources": ["a.zip"]}, "encoder": {"name": "x"}}
    return {"ops": {stage: {"config": values} for stage, values in (known | stages).items()}}


@pytest.mark.parametrize("name", ["defects.yaml", "smoke.yaml", "offline.yaml", "offline-whisper.yaml"])
def test_ready_configurations_are_right(name: str, data_home: Home) -> None:
    value = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))
    assert set(check(value, data_home)) == set(STAGES) - {"calibration", "evaluation", "scores"}


@pytest.mark.parametrize("name", ["asr.yaml", "asr-smoke.yaml", "asr-offline.yaml"])
def test_ready_configurations_of_the_recogniser_are_right(name: str, data_home: Home) -> None:
    value = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))
    data = {stage: op for stage, op in value["ops"].items() if stage in ("asr_archive", "asr_clips")}
    assert set(check({"ops": data}, data_home)) == {"asr_archive", "asr_clips"}


@pytest.mark.parametrize(
    ("stage", "values", "field", "allowed"),
    [
        ("heads", {"learning_rate": 0}, "ops.heads.config.learning_rate", "greater than 0"),
        ("heads", {"batch_size": 0}, "ops.heads.config.batch_size", "greater than or equal to 1"),
        ("heads", {"learnin_rate": 0.1}, "ops.heads.config.learnin_rate", "not permitted"),
        ("heads", {"epochs": "many"}, "ops.heads.config.epochs", "number"),
        ("clips", {"classes": ["none", "lisp"]}, "ops.clips.config.classes", "there are none, burr"),
        ("clips", {"classes": ["none", "none"]}, "ops.clips.config", "at least two, each once"),
        ("clips", {"language": "xx"}, "ops.clips.config.language", "there are: "),
        ("clips", {"label_aliases": {"lisp": ["ш"]}}, "ops.clips.config.label_aliases", "none of the classes"),
        ("clips", {"test_share": 0.9}, "ops.clips.config.test_share", "less than 0.5"),
        ("transcripts", {"backend": "vosk"}, "ops.transcripts.config.backend", "'faster_whisper' or 'openai_whisper'"),
        ("archive", {"sources": []}, "ops.archive.config", "name at least one archive"),
        ("encoder", {}, "ops.encoder.config", "give exactly one"),
        ("encoder", {"architecture": {"hidden_size": 1}}, "ops.encoder.config", "model_type"),
        ("encoder", {"init_from": "service"}, "ops.encoder.config.init_from", "no bundle is in service yet"),
        ("encoder", {"init_from": "defects-none"}, "ops.encoder.config.init_from", "there is no bundle defects-none"),
        ("bundle", {"min_class_f1": {"lisp": 0.5}}, "ops.bundle.config.min_class_f1.lisp", "none, burr"),
        ("bundle", {"min_class_f1": {"burr": 7.0}}, "ops.bundle.config.min_class_f1.burr", "between 0 and 1"),
        ("bundle", {"override_gate": "because"}, "ops.bundle.config.override_gate", "at least 10 characters"),
        ("bundle", {"min_macro_f1": 1.5}, "ops.bundle.config.min_macro_f1", "less than or equal to 1"),
        ("asr_bundle", {"max_wer": -0.1}, "ops.asr_bundle.config.max_wer", "greater than or equal to 0"),
        (
            "asr_bundle",
            {"max_regression_risk": 2.0},
            "ops.asr_bundle.config.max_regression_risk",
            "or equal to 1",
        ),
        ("asr_bundle", {"override_gate": "because"}, "ops.asr_bundle.config.override_gate", "at least 10 characters"),
        ("polish", {}, "ops.polish", "there is no such stage; the stages are archive, clips"),
        ("polish", {}, "ops.polish", "asr_archive, asr_clips"),
        ("clips", {"column_aliases": {"txt": ["x"]}}, "ops.clips.config.column_aliases", "the roles are file, label"),
        ("asr_archive", {"sources": [""]}, "ops.asr_archive.config", "name at least one archive"),
        (
            "asr_archive",
            {"dataset": {"name": "a/b", "part": "x"}},
            "ops.asr_archive.config.dataset.part",
            "not permitted",
        ),
        ("asr_archive", {"dataset": {"name": ""}}, "ops.asr_archive.config.dataset.name", "at least 1 character"),
        ("asr_clips", {"language": "xx"}, "ops.asr_clips.config.language", "there are: en, ru"),
        ("asr_clips", {"min_seconds": 40}, "ops.asr_clips.config", "must be less than max_seconds"),
        ("asr_clips", {"classes": ["none"]}, "ops.asr_clips.config.classes", "not permitted"),
        ("asr_clips", {"column_aliases": {"txt": ["x"]}}, "ops.asr_clips.config.column_aliases", "text"),
    ],
)
def test_wrong_value_is_named_with_what_is_allowed(
    stage: str, values: dict[str, Any], field: str, allowed: str, data_home: Home
) -> None:
    with pytest.raises(RunConfigError) as caught:
        check(config(**{stage: values}), data_home)
    (line,) = [line for line in str(caught.value).splitlines()[1:] if field in line]
    assert allowed in line


@pytest.mark.parametrize(
    ("stage", "values", "cards", "problem"),
    [
        ("heads", {}, (), "ops.heads.config.device: cuda, but there is none; or use auto or cpu"),
        ("heads", {}, (CARD,), None),
        ("transcripts", {"backend": "openai_whisper"}, (), "ops.transcripts.config.device: cuda, but there is none"),
        ("transcripts", {"backend": "openai_whisper"}, (CARD,), None),
        ("transcripts", {"source": "text_column"}, (), None),
        (
            "transcripts",
            {},
            (),
            "ops.transcripts.config.device: cuda, but the library libcublas.so.12 is missing; `make",
        ),
    ],
)
def test_a_card_that_is_not_there(
    stage: str,
    values: dict[str, Any],
    cards: tuple[Card, ...],
    problem: str | None,
    data_home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hardware = Hardware(cards, no_card="" if cards else "there is none")
    for module in ("pipeline.run_config", "speech.whisper.loading"):
        monkeypatch.setattr(f"{module}.read_hardware", lambda: hardware)
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    monkeypatch.setattr("speech.hardware.cuda_libraries.CUBLAS", "libcublas.so.12.of.nobody")
    monkeypatch.setattr("speech.hardware.cuda_libraries.LIBRARIES", ())
    given = config(**{stage: {"device": "cuda", **values}})
    if problem is None:
        check(given, data_home)
        return
    with pytest.raises(RunConfigError, match=re.escape(problem.replace("so.12 is", "so.12.of.nobody is"))):
        check(given, data_home)


def test_settings_are_taken_from_where_they_stood_before(data_home: Home) -> None:
    before = {"min_macro_f1": 0.3, "max_accepted_error": 0.2, "compare_champion": False}
    parsed = check(config(evaluation=before, bundle={"publish": False}), data_home)
    assert parsed["bundle"] == DefectBundleSettings(min_macro_f1=0.3, publish=False)
    assert parsed["calibration"] == CalibrationSettings(max_accepted_error=0.2)
    assert parsed["evaluation"] == JudgingSettings(compare_champion=False)
    both = check(config(evaluation={"min_macro_f1": 0.3}, bundle={"min_macro_f1": 0.6}), data_home)["bundle"]
    assert both == DefectBundleSettings(min_macro_f1=0.6)
    with pytest.raises(RunConfigError, match=r"ops\.bundle\.config\.min_macro_f1: .*less than or equal to 1"):
        check(config(evaluation={"min_macro_f1": 1.5}), data_home)
    recogniser = check(config(asr_evaluation={"max_wer": 0.4}), data_home)
    assert recogniser["asr_bundle"] == AsrBundleSettings(max_wer=0.4)


def test_all_problems_are_told_at_once(data_home: Home) -> None:
    with pytest.raises(RunConfigError) as caught:
        check(config(heads={"epochs": 0}, bundle={"min_macro_f1": 2}, clips={"classes": ["none", "lisp"]}), data_home)
    assert len(str(caught.value).splitlines()) == 4


def test_a_place_for_a_source_is_no_source(data_home: Home) -> None:
    with pytest.raises(RunConfigError, match=r"ops\.archive\.config: sources: name at least one archive"):
        check(config(archive={"sources": [NO_SOURCE]}), data_home)


def test_the_check_of_a_bundle_may_be_given_settings_too(data_home: Home) -> None:
    assert set(check(config(bundle_input_drift={"max_psi": 0.5}), data_home)) == {"archive", "encoder"}
    with pytest.raises(RunConfigError, match=r"ops\.bundle_input_drift\.config\.least_answers"):
        check(config(bundle_input_drift={"least_answers": 1}), data_home)


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"archive"}))
def test_a_form_shows_all_that_a_ready_configuration_sets(stage: str, data_home: Home) -> None:
    ready = yaml.safe_load((CONFIGS / "offline.yaml").read_text(encoding="utf-8"))["ops"].get(stage, {"config": {}})
    shown = beginning(stage)
    assert {name: shown[name] for name in ready["config"]} == ready["config"]
    assert set(check(config(**{stage: shown}), data_home)) == {"archive", "encoder", stage}


def test_names_of_bundles(data_home: Home) -> None:
    write_tiny_bundle(data_home, "first")
    assert bundle_id("first", data_home) == "first"
    with pytest.raises(BundleError, match="no bundle is in service"):
        bundle_id("service", data_home)
    publish(data_home, "first")
    assert bundle_id("service", data_home) == "first"
    with pytest.raises(BundleError, match="there are: first"):
        bundle_id("second", data_home)
    with pytest.raises(BundleError, match="is no bundle id"):
        bundle_id("../first", data_home)

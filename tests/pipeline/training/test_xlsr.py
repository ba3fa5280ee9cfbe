"""The full recipe, configs/defects.yaml, on an encoder as large as its own: XLS-R 300M with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance

from bench.xlsr import write_xlsr
from pipeline.definitions import defs
from speech.bundles.defects import load_bundle
from speech.home import Home
from tests.archives import write_archive

RECIPE = Path(__file__).resolve().parents[3] / "configs" / "defects.yaml"
# What is smaller than in the recipe, or otherwise: one pass of the encoder and of the heads; a voice a split, of two
# clips a class; the table's texts, since Whisper large-v3 is on the hub; and a gate that lets random weights pass.
SMALLER: dict[str, dict[str, Any]] = {
    "clips": {"min_speech_seconds": 0, "validation_share": 0.33, "test_share": 0.33, "min_clips_per_class": 2},
    "transcripts": {"source": "text_column"},
    "encoder": {"epochs": 1, "device": "cpu"},
    "heads": {"epochs": 1, "frozen_epochs": 0, "device": "cpu"},
    "calibration": {"device": "cpu"},
    "evaluation": {"device": "cpu"},
    "bundle": {"min_macro_f1": 0.0, "allow_zero_class": True},
}


@pytest.mark.system
def test_the_full_recipe_runs_to_its_bundle(data_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    archive = write_archive(tmp_path / "archive" / "tones.zip", speakers=3, clips=2)
    monkeypatch.setenv("VNYATNO_ARCHIVE_ROOTS", str(archive.parent))
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["ops"]
    recipe["archive"]["config"] = {"sources": [str(archive)]}
    for stage, values in SMALLER.items():
        recipe.setdefault(stage, {}).setdefault("config", {}).update(values)
    recipe["encoder"]["config"]["name"] = str(write_xlsr(tmp_path / "xlsr"))
    with DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("train").execute_in_process({"ops": recipe}, instance)
    made = {
        event.step_key: {name: entry.value for name, entry in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
    }
    assert made["encoder"]["parameters"] > 300_000_000
    assert made["encoder"]["steps"] == 1
    bundle = load_bundle(data_home.bundles / str(made["bundle"]["bundle_id"]))
    assert bundle.model.depth == 25
    assert bundle.model.size == 1024

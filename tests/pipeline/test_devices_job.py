"""Stages that train on several devices, here two processes on the CPU: what they leave is what one leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dagster import DagsterInstance, materialize
from safetensors.torch import load_file

from pipeline.assets.asr_archive import asr_archive
from pipeline.assets.asr_clips import asr_clips
from pipeline.assets.recogniser import recogniser
from pipeline.launchpad import Comet
from speech.ctc.folder import load_recogniser, save_recogniser
from speech.home import Home
from tests.archives import write_archive
from tests.pipeline.recognition.corpora import spoken, write_zip
from tests.pipeline.test_train_job import launch, metadata
from tests.recognisers import tiny_recogniser

pytestmark = pytest.mark.long


@pytest.mark.system
def test_the_job_trains_on_two(data_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_archive(tmp_path / "archive" / "tones.zip")
    monkeypatch.setenv("VNYATNO_ARCHIVE_ROOTS", str(archive.parent))
    two = {"devices": 2}
    with DagsterInstance.ephemeral() as instance:
        result = launch(archive, instance, encoder=two, heads=two | {"refit": False})
    assert result.success
    for stage in ("encoder", "heads"):
        made = metadata(result, stage)
        assert made["steps"] > 0
        left = {path.name for path in Path(made["folder"]).iterdir()}
        assert "devices" not in left
        assert not any(name.startswith("checkpoint-") for name in left)
    assert metadata(result, "bundle")["bundle_id"]


@pytest.mark.system
def test_the_recogniser_trains_on_two(data_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNYATNO_ARCHIVE_ROOTS", str(tmp_path))
    encoder = tmp_path / "encoder"
    dropped = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}
    started = tiny_recogniser(tmp_path / "vocabulary", final_dropout=0.0, apply_spec_augment=False, **dropped)
    save_recogniser(started, encoder)
    started.base.save_pretrained(encoder)
    weights = []
    for devices in (1, 2):
        training: dict[str, Any] = {
            "start_from": str(encoder),
            "epochs": 2,
            "batch_size": 4,
            "accumulation": 1,
            "precision": "fp32",
            "device": "cpu",
            "devices": devices,
            "warmup_steps": 0,
            # What one has made is not made again for two: how many devices there were is no part of what came out.
            "learning_rate": 1e-4 + devices * 1e-12,
        }
        ops = {
            "asr_archive": {"sources": [str(write_zip(tmp_path / "speech.zip", spoken(4, 5)))]},
            "asr_clips": {"language": "en", "min_speech_seconds": 0},
            "recogniser": training,
        }
        result = materialize(
            [asr_archive, asr_clips, recogniser],
            run_config={"ops": {stage: {"config": config} for stage, config in ops.items()}},
            resources={"comet": Comet()},
        )
        made = metadata(result, "recogniser")
        assert not made["reused"]
        load_recogniser(Path(made["folder"]) / "model")
        weights.append(load_file(Path(made["folder"]) / "model" / "model.safetensors"))
    assert all(torch.allclose(value, weights[1][name], atol=3e-4) for name, value in weights[0].items())

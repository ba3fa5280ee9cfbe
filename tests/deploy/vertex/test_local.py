"""The whole pipeline by Kubeflow's local runner: a process a step, Google's real clients, stand-ins behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import local

from deploy.vertex.pipeline import Resources, pipeline
from speech.bundles.defects import verify
from speech.ctc.folder import save_recogniser
from speech.files import read_json
from speech.home import code_folder
from tests.recognisers import tiny_recogniser
from tests.stand_ins.cloud_storage import CloudStorage, cloud_storage
from tests.stand_ins.vertex import Vertex, vertex

__all__ = ["cloud_storage", "vertex"]

# Two runs of up to five processes that import torch and train: 80 seconds of one core.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

IMAGE = "us-docker.pkg.dev/p/r/python-training:1"
TOKEN = "hf_averysecrettoken"


def recipe(model: Path) -> str:
    """A run configuration that trains a small model with random weights on real, spoken commands."""
    stages = {
        "asr_archive": {"sources": ["samples/commands.zip"]},
        "asr_clips": {"min_speech_seconds": 0, "language": "ru", "validation_share": 0.15, "test_share": 0.2},
        "recogniser": {"name": str(model), "batch_size": 8, "accumulation": 1, "warmup_steps": 2},
    }
    return yaml.safe_dump({"ops": {stage: {"config": settings} for stage, settings in stages.items()}})


def run(folder: Path, model: Path, max_wer: float) -> Path:
    """Run the pipeline to its end; the folder with the steps' outputs."""
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder))
    pipeline(IMAGE, Resources(accelerator=""))(
        project="project-1",
        location="us-central1",
        bucket_uri="gs://bucket-1",
        serving_image_uri="us-docker.pkg.dev/p/r/app:1",
        recipe=recipe(model),
        num_train_epochs=1.0,
        max_wer=max_wer,
        hf_token_secret="projects/project-1/secrets/vnyatno-hf-token/versions/1",
    )
    (ended,) = folder.iterdir()
    return ended


def figures(ended: Path) -> dict[str, Any]:
    (path,) = ended.glob("evaluate/evaluation/stages/asr_evaluation/*/metrics.json")
    return read_json(path)


def test_it_deploys_once_and_refuses_once(
    vertex: Vertex, cloud_storage: CloudStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(code_folder()))
    model = tmp_path / "model"
    save_recogniser(tiny_recogniser(tmp_path / "vocabulary"), model)
    vertex.secrets["vnyatno-hf-token"] = [TOKEN]

    deployed = run(tmp_path / "deployed", model, max_wer=9.0)
    ((version,),) = vertex.models.values()
    bundle_id = next(alias for alias in version["versionAliases"] if alias.startswith("asr-"))
    assert version["artifactUri"] == f"gs://bucket-1/vnyatno/bundles/{bundle_id}"
    copy = tmp_path / bundle_id
    copy.mkdir()
    for name in cloud_storage.names(version["artifactUri"]):
        (copy / name).write_bytes(cloud_storage.objects[("bucket-1", f"vnyatno/bundles/{bundle_id}/{name}")])
    verify(copy)  # what lies in the bucket is a whole bundle
    (endpoint,) = vertex.endpoints.values()
    (served,) = endpoint["deployedModels"]
    assert served["model"].endswith("@1")
    assert endpoint["trafficSplit"] == {served["id"]: 100}
    assert figures(deployed)["wer"] > 0
    assert figures(deployed)["champion"]["in_service"] is None
    assert "speakers.json" in cloud_storage.names("gs://bucket-1/vnyatno/registry")
    assert "<h1>" in (deployed / "evaluate" / "report").read_text(encoding="utf-8")

    refused = run(tmp_path / "refused", model, max_wer=0.0)
    assert {path.name for path in refused.iterdir()} == {"train", "evaluate", "validate"}
    assert "maximum_wer FAILED" in (refused / "validate" / "reasons").read_text(encoding="utf-8")
    assert figures(refused)["champion"]["in_service"] == bundle_id  # judged beside what the registry serves
    assert (vertex.count("models:upload"), vertex.count(":deployModel"), vertex.count(":undeployModel")) == (1, 1, 0)
    assert len(cloud_storage.names("gs://bucket-1/vnyatno/bundles")) == len(list(copy.iterdir()))

    assert vertex.count("/secrets/vnyatno-hf-token/versions/1:access") == 2
    held = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in content for content in [*held, *cloud_storage.objects.values()])

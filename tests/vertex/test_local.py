"""The whole pipeline by Kubeflow's local runner: a process a step, Google's real clients, stand-ins behind them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import local

from deploy.vertex.pipeline import Resources, pipeline
from speech.bundle import verify
from speech.files import read_json
from speech.home import code_folder
from tests.stand_ins.cloud_storage import CloudStorage, cloud_storage
from tests.stand_ins.vertex import Vertex, vertex

__all__ = ["cloud_storage", "vertex"]

pytestmark = pytest.mark.system  # two runs of five processes that import torch

IMAGE = "us-docker.pkg.dev/p/r/python-training:1"
TOKEN = "hf_averysecrettoken"
RECIPE: dict[str, Any] = {
    "ops": {
        "asr_archive": {"config": {"sources": ["samples/commands.zip"]}},
        "asr_clips": {"config": {"language": "ru", "validation_share": 0.15, "test_share": 0.2}},
    }
}


def run(folder: Path, max_wer: float) -> Path:
    """Run the pipeline to its end; the folder with the steps' outputs."""
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder))
    pipeline(IMAGE, Resources(accelerator=""))(
        project="project-1",
        location="us-central1",
        bucket_uri="gs://bucket-1",
        serving_image_uri="us-docker.pkg.dev/p/r/app:1",
        recipe=yaml.safe_dump(RECIPE),
        num_train_epochs=2.0,
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
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent / "stand_in_training"), str(code_folder())])
    )
    monkeypatch.delenv("HF_TOKEN", raising=False)
    vertex.secrets["vnyatno-hf-token"] = [TOKEN]

    deployed = run(tmp_path / "deployed", max_wer=9.0)
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

    refused = run(tmp_path / "refused", max_wer=0.0)
    assert {path.name for path in refused.iterdir()} == {"train", "evaluate", "validate"}
    assert "maximum_wer FAILED" in (refused / "validate" / "reasons").read_text(encoding="utf-8")
    assert figures(refused)["champion"]["in_service"] == bundle_id  # judged beside what the registry serves
    assert (vertex.count("models:upload"), vertex.count(":deployModel"), vertex.count(":undeployModel")) == (1, 1, 0)
    assert len(cloud_storage.names("gs://bucket-1/vnyatno/bundles")) == len(list(copy.iterdir()))

    held = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in content for content in [*held, *cloud_storage.objects.values()])

"""The whole pipeline by Kubeflow's local runner: a process a step, Google's real clients, stand-ins behind them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import local

from deploy.vertex.pipeline import Resources, pipeline
from speech.home import code_folder
from tests.stand_ins.cloud_storage import CloudStorage, cloud_storage
from tests.stand_ins.vertex import Vertex, vertex

__all__ = ["cloud_storage", "vertex"]

pytestmark = pytest.mark.system  # a minute of training

IMAGE = "us-docker.pkg.dev/p/r/python-training:1"
RECIPE: dict[str, Any] = {"ops": {}}


def run(folder: Path, max_wer: float) -> Path:
    """Run the pipeline to its end; the folder with the steps' outputs."""
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder))
    pipeline(IMAGE, Resources(accelerator=""))(
        project="project-1",
        location="us-central1",
        bucket_uri="gs://bucket-1",
        serving_image_uri="us-docker.pkg.dev/p/r/app:1",
        recipe=yaml.safe_dump(RECIPE),
        num_train_epochs=1.0,
        max_wer=max_wer,
        hf_token_secret="projects/project-1/secrets/vnyatno-hf-token/versions/1",
    )
    (ended,) = folder.iterdir()
    return ended


def test_it_refuses_once_and_deploys_once(
    vertex: Vertex, cloud_storage: CloudStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{os.environ.get('SHIM', '')}:{code_folder()}")
    vertex.secrets["vnyatno-hf-token"] = ["hf_averysecrettoken"]
    refused = run(tmp_path / "refused", max_wer=0.0)
    assert {path.name for path in refused.iterdir()} == {"train", "evaluate", "validate"}
    assert vertex.models == {}
    assert vertex.endpoints == {}
    assert cloud_storage.objects == {}

    deployed = run(tmp_path / "deployed", max_wer=1.0)
    assert {path.name for path in deployed.iterdir()} >= {"train", "evaluate", "validate"}
    ((version,),) = vertex.models.values()
    (bundle_id, _) = version["versionAliases"]
    names = cloud_storage.names(version["artifactUri"])
    assert version["artifactUri"] == f"gs://bucket-1/vnyatno/bundles/{bundle_id}"
    assert {"manifest.json", "weights.safetensors"} <= set(names)
    (endpoint,) = vertex.endpoints.values()
    (served,) = endpoint["deployedModels"]
    assert served["model"].endswith("@1")
    assert endpoint["trafficSplit"] == {served["id"]: 100}
    assert (vertex.count("models:upload"), vertex.count(":deployModel")) == (1, 1)
    held = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"hf_averysecrettoken" in content for content in [*held, *cloud_storage.objects.values()])

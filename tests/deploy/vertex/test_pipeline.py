"""The compiled pipeline, held against Kubeflow's own schema of pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from deploy.vertex.pipeline import Resources, compile_to

IMAGE = "us-docker.pkg.dev/p/r/training:1"
STEPS = {"train", "evaluate", "validate", "upload", "deploy"}


def compiled(path: Path, resources: Resources | None = None) -> tuple[dict[str, Any], Any]:
    compile_to(path, IMAGE, resources)
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    return value, json_format.ParseDict(value, pipeline_spec_pb2.PipelineSpec())


def test_it_is_a_pipeline_by_kubeflows_schema_and_holds_every_step(tmp_path: Path) -> None:
    _, spec = compiled(tmp_path / "pipeline.yaml")
    assert spec.pipeline_info.name == "vnyatno-asr"
    assert {name.removeprefix("comp-") for name in spec.components} == STEPS | {"condition-1"}
    executors = json_format.MessageToDict(spec.deployment_spec)["executors"]
    assert set(executors) == {f"exec-{name}" for name in STEPS}
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}


def test_nothing_is_uploaded_or_deployed_but_under_the_condition(tmp_path: Path) -> None:
    _, spec = compiled(tmp_path / "pipeline.yaml")
    assert set(spec.root.dag.tasks) == {"train", "evaluate", "validate", "condition-1"}
    condition = spec.root.dag.tasks["condition-1"]
    assert condition.trigger_policy.condition == (
        "inputs.parameter_values['pipelinechannel--validate-Output'] == 'valid'"
    )
    assert set(spec.components["comp-condition-1"].dag.tasks) == {"upload", "deploy"}


def test_only_what_computes_asks_for_an_accelerator(tmp_path: Path) -> None:
    value, _ = compiled(tmp_path / "pipeline.yaml")
    executors = value["deploymentSpec"]["executors"]
    asking = {
        name for name, executor in executors.items() if "accelerator" in executor["container"].get("resources", {})
    }
    assert asking == {"exec-train", "exec-evaluate"}
    assert executors["exec-train"]["container"]["resources"]["accelerator"]["resourceType"] == "NVIDIA_TESLA_T4"
    value, _ = compiled(tmp_path / "plain.yaml", Resources(accelerator=""))
    train = value["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]
    assert "accelerator" not in train
    assert train["resourceCpuLimit"] == "16"


@pytest.mark.parametrize("name", ["hf_token_secret", "serving_machine_type", "serving_accelerator"])
def test_what_runs_differ_by_is_a_parameter(tmp_path: Path, name: str) -> None:
    _, spec = compiled(tmp_path / "pipeline.yaml")
    assert name in spec.root.input_definitions.parameters


def test_no_step_installs_packages_when_it_starts(tmp_path: Path) -> None:
    compile_to(tmp_path / "pipeline.yaml", IMAGE)
    assert "pip install" not in (tmp_path / "pipeline.yaml").read_text(encoding="utf-8")

"""`.env` and the start of a run, by the real client against a stand-in of Vertex AI."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from google.cloud.aiplatform.utils import resource_manager_utils

from deploy.vertex import submit
from deploy.vertex.variables import VariablesError, check, read_variables
from speech.home import code_folder
from tests.stand_ins.cloud_storage import PROJECT_NUMBER, CloudStorage, cloud_storage
from tests.stand_ins.vertex import Vertex, vertex

__all__ = ["cloud_storage", "vertex"]

GOOD = {
    "HF_TOKEN": "hf_averysecrettoken",
    "GOOGLE_CLOUD_PROJECT_ID": "project-1",
    "GOOGLE_CLOUD_LOCATION": "us-central1",
    "GCS_BUCKET_URI": "gs://bucket-1",
    "TRAINING_IMAGE_URI": "us-central1-docker.pkg.dev/project-1/vnyatno/training:latest",
    "SERVING_IMAGE_URI": "us-docker.pkg.dev/a/b/c.1-0:model-release_20251215.02_p0",
    "NUM_TRAIN_EPOCHS": "35",
    "MAX_WER_DEPLOYMENT": "0.25",
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        monkeypatch.delenv(name, raising=False)


def written(path: Path, values: dict[str, str]) -> Path:
    path.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()), encoding="utf-8")
    return path


def test_the_variables_are_read_and_the_token_is_not_shown(tmp_path: Path) -> None:
    variables = read_variables(written(tmp_path / ".env", GOOD))
    assert (variables.epochs, variables.max_wer) == (35.0, 0.25)
    assert variables.place.bundle_uri("asr-1") == "gs://bucket-1/vnyatno/bundles/asr-1"
    assert variables.token == GOOD["HF_TOKEN"]
    assert GOOD["HF_TOKEN"] not in repr(variables)
    assert check(GOOD | {"HF_TOKEN": "none"}).token == ""


def test_the_environment_fills_what_the_file_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_fromtheenvironment")
    path = written(tmp_path / ".env", {name: value for name, value in GOOD.items() if name != "HF_TOKEN"})
    assert read_variables(path).token == "hf_fromtheenvironment"


def test_every_variable_that_is_missing_or_malformed_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(VariablesError) as caught:
        read_variables(code_folder() / "deploy" / "vertex" / ".env.example")
    named = {line.split()[0] for line in str(caught.value).splitlines()}
    assert named == set(GOOD) - {"NUM_TRAIN_EPOCHS", "MAX_WER_DEPLOYMENT"}
    wrong = dict.fromkeys(GOOD, "YOUR VALUE") | {"HF_TOKEN": "not-a-token", "MAX_WER_DEPLOYMENT": "20"}
    with pytest.raises(VariablesError) as caught:
        check(wrong)
    assert {line.split()[0] for line in str(caught.value).splitlines()} == set(GOOD)
    assert "not-a-token" not in str(caught.value)
    with pytest.raises(VariablesError, match="NUM_TRAIN_EPOCHS"):
        check(GOOD | {"NUM_TRAIN_EPOCHS": "nan"})
    with pytest.raises(VariablesError, match=r"copy deploy/vertex/\.env\.example"):
        read_variables(tmp_path / "nothing")


def test_a_run_starts_and_nothing_but_the_secret_holds_the_token(
    vertex: Vertex,
    cloud_storage: CloudStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # The client asks a third service, by gRPC, whose the bucket is.
    monkeypatch.setattr(resource_manager_utils, "get_project_number", lambda project: PROJECT_NUMBER)
    config = tmp_path / "asr.yaml"
    config.write_text("ops:\n  asr_clips:\n    config:\n      language: en\n", encoding="utf-8")
    env = written(tmp_path / ".env", GOOD)
    asked = ["submit", "--env", str(env), "--config", str(config), "--service-account", "trainer@p.iam"]
    monkeypatch.setattr(sys, "argv", asked)
    submit.main()
    shown = capfd.readouterr()
    (job,) = vertex.jobs.values()
    assert job["name"] in shown.out
    assert job["serviceAccount"] == "trainer@p.iam"
    assert job["runtimeConfig"]["gcsOutputDirectory"] == "gs://bucket-1/vnyatno/pipeline"
    given = job["runtimeConfig"]["parameterValues"]
    assert given["recipe"] == config.read_text(encoding="utf-8")
    assert (given["num_train_epochs"], given["max_wer"]) == (35.0, 0.25)
    assert given["hf_token_secret"] == "projects/project-1/secrets/vnyatno-hf-token/versions/1"
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert set(tasks) == {"train", "evaluate", "validate", "condition-1"}
    assert not any(task["cachingOptions"].get("enableCache") for task in tasks.values())
    assert vertex.secrets == {"vnyatno-hf-token": [GOOD["HF_TOKEN"]]}
    told = json.dumps([job, shown.out, shown.err, list(map(str, cloud_storage.objects.values()))])
    assert GOOD["HF_TOKEN"] not in told


def test_a_run_that_cannot_start_says_why_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = written(tmp_path / ".env", GOOD | {"GCS_BUCKET_URI": "bucket-1", "NUM_TRAIN_EPOCHS": ""})
    monkeypatch.setattr(sys, "argv", ["submit", "--env", str(env)])
    with pytest.raises(SystemExit) as ended:
        submit.main()
    assert [line.split()[:2] for line in str(ended.value).splitlines()] == [
        ["error:", "GCS_BUCKET_URI"],
        ["error:", "NUM_TRAIN_EPOCHS"],
    ]

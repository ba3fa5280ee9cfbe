"""The real clients of Google Cloud against stand-ins of what they talk to."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.vertex import cloud
from deploy.vertex.cloud import CloudError, Machine, Place
from tests.stand_ins.cloud_storage import CloudStorage, cloud_storage
from tests.stand_ins.vertex import Vertex, vertex

__all__ = ["cloud_storage", "vertex"]

PLACE = Place("project-1", "us-central1", "gs://bucket-1/team")
MACHINE = Machine("n1-standard-4")
IMAGE = "us-docker.pkg.dev/p/r/app:1"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "asr-0123456789ab"
    folder.mkdir()
    for name in ("manifest.json", "config.yaml", "weights.safetensors"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_a_bundle_goes_to_the_bucket_and_comes_back(cloud_storage: CloudStorage, bundle: Path, tmp_path: Path) -> None:
    uri = cloud.upload_bundle(PLACE, bundle)
    assert uri == "gs://bucket-1/team/vnyatno/bundles/asr-0123456789ab"
    assert cloud_storage.names(uri) == ["config.yaml", "manifest.json", "weights.safetensors"]
    assert list(cloud_storage.objects)[-1][1].endswith("manifest.json")  # last, so that a folder with one is whole
    back = tmp_path / "back"
    cloud.download_bundle(PLACE, uri, back)
    assert {path.name: path.read_bytes() for path in back.iterdir()} == {
        path.name: path.read_bytes() for path in bundle.iterdir()
    }


def test_a_bundle_that_is_gone_or_leads_astray_is_refused(cloud_storage: CloudStorage, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="holds nothing"):
        cloud.download_bundle(PLACE, "gs://bucket-1/asr-0", tmp_path / "in")
    cloud_storage.objects[("bucket-1", "asr-0/../../outside")] = b"x"
    with pytest.raises(CloudError, match="leads out"):
        cloud.download_bundle(PLACE, "gs://bucket-1/asr-0", tmp_path / "in")
    assert not (tmp_path / "outside").exists()


def test_the_second_bundle_is_a_version_of_the_same_model_and_takes_the_endpoint_over(vertex: Vertex) -> None:
    cloud.connect(PLACE)
    assert cloud.registered() is None
    first = cloud.register("asr-000000000001", "gs://bucket-1/one", IMAGE)
    endpoint = cloud.deploy(first.versioned_resource_name, MACHINE)
    second = cloud.register("asr-000000000002", "gs://bucket-1/two", IMAGE)
    assert (second.resource_name, second.version_id) == (first.resource_name, "2")
    again = cloud.deploy(second.versioned_resource_name, MACHINE)
    assert again.resource_name == endpoint.resource_name
    (versions,) = vertex.models.values()
    assert [version["versionAliases"] for version in versions] == [
        ["asr-000000000001"],
        ["asr-000000000002", "default"],
    ]
    container = versions[1]["containerSpec"]
    assert container["imageUri"] == IMAGE
    assert container["args"] == ["serve"]
    assert (container["healthRoute"], container["predictRoute"]) == ("/h", "/predict")
    assert container["ports"] == [{"containerPort": 8080}]
    assert "env" not in container
    (served,) = vertex.endpoints.values()
    (deployed,) = served["deployedModels"]
    assert deployed["model"].endswith("/models/1@2")
    assert deployed["dedicatedResources"]["machineSpec"]["machineType"] == "n1-standard-4"
    assert served["trafficSplit"] == {deployed["id"]: 100}


def test_a_version_that_never_becomes_ready_leaves_the_endpoint_as_it_was(vertex: Vertex) -> None:
    cloud.connect(PLACE)
    first = cloud.register("asr-000000000001", "gs://bucket-1/one", IMAGE)
    cloud.deploy(first.versioned_resource_name, MACHINE)
    (served,) = vertex.endpoints.values()
    before = (list(served["deployedModels"]), dict(served["trafficSplit"]))
    second = cloud.register("asr-000000000002", "gs://bucket-1/two", IMAGE)
    vertex.failing = {"deployModel"}
    with pytest.raises(Exception, match="never became ready"):
        cloud.deploy(second.versioned_resource_name, MACHINE)
    assert (served["deployedModels"], served["trafficSplit"]) == before
    assert vertex.count(":undeployModel") == 0


def test_a_token_is_kept_as_a_secret_and_read_by_its_name(vertex: Vertex) -> None:
    name = cloud.keep_token("project-1", "hf_first")
    assert "hf_first" not in name
    second = cloud.keep_token("project-1", "hf_second")
    assert (cloud.read_token(name), cloud.read_token(second)) == ("hf_first", "hf_second")
    with pytest.raises(CloudError, match="secretAccessor"):
        cloud.read_token("projects/project-1/secrets/other/versions/1")


def test_no_address_but_a_stand_in_is_ever_sent_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNYATNO_VERTEX_ENDPOINT", "https://example.org")
    with pytest.raises(CloudError, match="unset it"):
        cloud.keep_token("project-1", "hf_token")

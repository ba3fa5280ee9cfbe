"""The launcher as Vertex AI starts it: its variables, a bundle in Cloud Storage, and its two routes."""

from __future__ import annotations

import base64
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from deploy.addresses import AddressError, Addresses
from deploy.commands.publication import put_into_service
from deploy.vertex.bucket import fetched
from deploy.vertex.vertex_container import read_container
from speech.bundles.defects import BundleError
from speech.bundles.gate import GateRefused, WerGate
from speech.home import Home
from speech.serving.pointer import read_pointer
from tests.deploy.conftest import accepts, assert_nothing_left
from tests.deploy.run.test_launcher import launch, wait_until_ready
from tests.ports import free_port
from tests.recognisers import tiny_recogniser, write_tiny_recogniser
from tests.recordings import babble, encoded
from tests.stand_ins.cloud_storage import CloudStorage, cloud_storage

__all__ = ["cloud_storage"]
BUNDLE = "asr-0123456789ab"
URI = f"gs://models/deployed/{BUNDLE}"
HEALTH = "/v1/endpoints/77/deployedModels/88"
PREDICT = f"{HEALTH}:predict"
SPEECH = encoded(babble(20, 4.0))
PACKED = base64.b64encode(SPEECH).decode()


def uploaded(storage: CloudStorage, folder: Path, uri: str = URI) -> None:
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    for path in folder.iterdir():
        storage.objects[(bucket, f"{prefix}/{path.name}")] = path.read_bytes()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_recogniser(Home(tmp_path / "elsewhere"), BUNDLE, tiny_recogniser(tmp_path / "vocabulary"))


def in_service(home: Home) -> str | None:
    pointer = read_pointer(home, "asr")
    return pointer.current if pointer else None


def test_a_bundle_is_taken_from_a_bucket_verified_and_published(
    data_home: Home, bundle: Path, cloud_storage: CloudStorage
) -> None:
    uploaded(cloud_storage, bundle)
    assert put_into_service(URI + "/", data_home) == BUNDLE
    assert in_service(data_home) == BUNDLE
    assert put_into_service(URI, data_home) == BUNDLE  # a container that starts again
    assert sorted(path.name for path in data_home.root.iterdir()) == ["bundles", "serving"]


@pytest.mark.parametrize("way", ["file://{}", "{}"])
def test_a_bundle_is_taken_from_a_folder(data_home: Home, bundle: Path, way: str) -> None:
    assert put_into_service(way.format(bundle), data_home) == BUNDLE
    assert in_service(data_home) == BUNDLE
    assert (bundle / "config.yaml").is_file()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", b"changed", "model.safetensors was changed or cut off"),
        ("notes.txt", b"", "holds no bundle"),
        ("deeper/config.yaml", b"", "deeper/config.yaml, which is no file of a bundle"),
        ("../config.yaml", b"", "which is no file of a bundle"),
    ],
)
def test_what_is_no_whole_bundle_is_refused(
    data_home: Home, bundle: Path, cloud_storage: CloudStorage, name: str, content: bytes, said: str
) -> None:
    uploaded(cloud_storage, bundle)
    cloud_storage.objects[("models", f"deployed/{BUNDLE}/{name}")] = content
    with pytest.raises(BundleError, match=said):
        put_into_service(URI, data_home)
    assert in_service(data_home) is None
    assert list(data_home.bundles.glob("*")) == [] if data_home.bundles.exists() else True


def test_addresses_that_lead_nowhere_are_named(
    data_home: Home, tmp_path: Path, cloud_storage: CloudStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for uri, said in ((URI, "nothing at gs://"), ("http://127.0.0.1/x", "names no bundle"), ("gs://", "names no")):
        with pytest.raises(BundleError, match=said):
            fetched(uri, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "google.cloud.storage", None)
    monkeypatch.delattr("google.cloud.storage", raising=False)
    with pytest.raises(BundleError, match="install google-cloud-storage"):
        fetched(URI, tmp_path)


def test_the_gate_is_asked_for_a_bundle_from_a_bucket_too(
    data_home: Home, tmp_path: Path, cloud_storage: CloudStorage
) -> None:
    made = tiny_recogniser(tmp_path)
    uploaded(cloud_storage, write_tiny_recogniser(Home(tmp_path / "else"), BUNDLE, made, gate=WerGate(max_wer=0.05)))
    with pytest.raises(GateRefused, match="maximum_wer"):
        put_into_service(URI, data_home)
    assert in_service(data_home) is None


def test_the_variables_of_vertex() -> None:
    assert read_container({}) is None
    container = read_container({"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": URI})
    assert container is not None
    assert container.storage_uri == URI
    made = container.environment({"VNYATNO_HOST": "127.0.0.1", "VNYATNO_PROXY": "on", "OTHER": "kept"})
    assert made == {
        "VNYATNO_HOST": "0.0.0.0", "VNYATNO_SERVICE_PORT": "8080", "VNYATNO_PROXY": "off", "OTHER": "kept",
    }  # fmt: skip
    for port in ("http", "0", "70000", "-1"):
        with pytest.raises(AddressError, match="AIP_HTTP_PORT"):
            read_container({"AIP_HTTP_PORT": port})


def post(base: str, **asked: Any) -> requests.Response:
    return requests.post(base + PREDICT, timeout=60, **asked)


def test_the_container_answers_as_vertex_asks(
    data_home: Home, bundle: Path, cloud_storage: CloudStorage, addresses: Addresses, environment: Callable[..., Any]
) -> None:
    uploaded(cloud_storage, bundle)
    port = free_port()
    variables = {
        "AIP_HTTP_PORT": str(port), "AIP_HEALTH_ROUTE": HEALTH, "AIP_PREDICT_ROUTE": PREDICT, "AIP_STORAGE_URI": URI,
        "AIP_MODE": "PREDICTION", "VNYATNO_PROXY": "on",
    }  # fmt: skip
    # `up` is what the image starts by default.
    launcher = launch("up", environment=environment(data_home, addresses, **variables))
    try:
        wait_until_ready(launcher)
        assert not accepts(addresses.dagster)
        assert not accepts(addresses.web)
        base = f"http://127.0.0.1:{port}"
        assert requests.get(base + HEALTH, timeout=30).json() == {"status": "ok"}
        said = requests.post(base + "/api/transcribe", files={"file": SPEECH}, timeout=60).json()["text"]
        assert said
        assert post(base, json={"file": PACKED}).json()["text"] == said
        assert post(base, files={"file": ("a.wav", SPEECH)}).json()["text"] == said
        asked = {"instances": [{"file": PACKED}, {"file": PACKED, "words": False}], "parameters": {"words": True}}
        first, second = post(base, json=asked).json()["predictions"]
        assert first["text"] == second["text"] == said
        assert " ".join(word["word"] for word in first["words"]) == said
        assert "words" not in second
        for body, code, param in (
            ({"instances": [{"file": PACKED}, {"file": "%"}]}, "not_base64", "instances.1.file"),
            ({"instances": [{"file": PACKED}, {}]}, "no_file", "instances.1.file"),
            ({"instances": [{"file": PACKED}, 7]}, "bad_json", "instances.1"),
            ({"instances": [{"file": base64.b64encode(b"no sound").decode()}]}, "not_audio", "instances.0.file"),
            ({"instances": []}, "bad_request", "instances"),
            ({"instances": [{"file": PACKED}], "parameters": 3}, "bad_request", "parameters"),
            ({"file": PACKED, "language": "fr"}, "language_not_understood", "language"),
            ({}, "no_file", "file"),
        ):
            refused = post(base, json=body)
            assert 400 <= refused.status_code < 500
            assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == (code, param), refused.text
        assert post(base, data=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
        assert requests.get(base + PREDICT, timeout=30).status_code in (404, 405)
    finally:
        launcher.send_signal(signal.SIGTERM)
        launcher.communicate(timeout=30)
    assert launcher.returncode == 0
    assert_nothing_left(data_home, addresses)


def test_a_container_without_its_bundle_does_not_start(
    data_home: Home, addresses: Addresses, environment: Callable[..., Any], cloud_storage: CloudStorage
) -> None:
    variables = {"AIP_HTTP_PORT": str(free_port()), "AIP_STORAGE_URI": URI}
    launcher = launch("serve", environment=environment(data_home, addresses, **variables))
    output, _ = launcher.communicate(timeout=120)
    assert launcher.returncode == 1
    assert f"there is nothing at {URI}" in output

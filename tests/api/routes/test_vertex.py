"""Vertex AI's routes within the application; as a container they are tried in
tests/deploy/vertex/test_container.py."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from api.app import build_app
from api.observe.metrics import Metrics
from api.security.keys import make_key
from api.settings import ServiceSettings, SettingsError, VertexRoutes, read_vertex_routes
from api.worker.engine import Engine
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import ended
from tests.bundles import write_tiny_bundle
from tests.recognisers import tiny_recogniser, write_tiny_recogniser
from tests.recordings import encoded, hum

ROUTES = VertexRoutes("/h", "/predict")
SETTINGS = ServiceSettings(
    max_upload_bytes=1_000_000, decoders=1, threads=1, open_on_localhost=False, min_speech_seconds=0
)
BODY = {"instances": [{"file": base64.b64encode(encoded(hum(2.0))).decode()}]}


@pytest.fixture
def app(data_home: Home) -> Iterator[FastAPI]:
    app = build_app(SETTINGS, data_home, ROUTES)
    app.state.engine = Engine(SETTINGS, data_home, Metrics(CollectorRegistry()))
    app.state.engine.start()
    yield app
    ended(app)


def test_it_is_healthy_as_soon_as_a_model_serves_and_the_recipe_in_service_answers(
    app: FastAPI, data_home: Home, tmp_path: Path
) -> None:
    engine = app.state.engine
    for loader in engine.loaders.values():
        loader.close()  # so that it follows when told to
    with TestClient(app) as client:
        assert client.get("/h").status_code == 503
        assert client.post("/predict", json=BODY).status_code == 503
        write_tiny_bundle(data_home, "tiny-1")
        publish(data_home, "tiny-1")
        engine.loader.look()
        assert client.get("/h").json() == {"status": "ok"}
        answer = client.post("/predict", json=BODY)
        assert answer.status_code == 200, answer.text
        (prediction,) = answer.json()["predictions"]
        assert prediction["class"] in prediction["classes"]
        write_tiny_recogniser(data_home, "asr-1", tiny_recogniser(tmp_path))
        publish(data_home, "asr-1")
        engine.recognition.loader.look()
        (prediction,) = client.post("/predict", json=BODY).json()["predictions"]
        assert prediction["bundle"] == "asr-1"


def test_a_form_holds_one_recording_and_known_fields_there_too(app: FastAPI) -> None:
    file = BODY["instances"][0]["file"].encode()
    with TestClient(app) as client:
        for more, code in (
            ([("file", ("b", file))], "several_files"),
            ([("word", (None, "true"))], "unknown_field"),
            ([("words", (None, "true")), ("words", (None, "false"))], "repeated_field"),
        ):
            answer = client.post("/predict", files=[("file", ("a", file)), *more])
            assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_what_is_sent_there_is_limited_and_asked_for_a_key_as_anywhere(app: FastAPI, data_home: Home) -> None:
    with TestClient(app) as client:
        large = client.post("/predict", json={"file": "A" * 2_000_000})
        assert (large.status_code, large.json()["code"]) == (413, "too_large")
        make_key(data_home, "anna", "predict")
        assert client.post("/predict", json=BODY).json()["code"] == "key_missing"


def test_while_it_starts_it_is_not_healthy(data_home: Home) -> None:
    with TestClient(build_app(SETTINGS, data_home, ROUTES)) as client:
        assert client.get("/h").status_code == 503


def test_routes_are_read_from_vertexs_variables() -> None:
    assert read_vertex_routes({}) is None
    health = "/v1/endpoints/1/deployedModels/2"
    routes = read_vertex_routes({"AIP_HEALTH_ROUTE": health, "AIP_PREDICT_ROUTE": f"{health}:predict"})
    assert routes == VertexRoutes(health, f"{health}:predict")
    for odd in ("predict", "/{x}", "/a b", "/a?b"):
        with pytest.raises(SettingsError, match="AIP_PREDICT_ROUTE"):
            read_vertex_routes({"AIP_HEALTH_ROUTE": "/h", "AIP_PREDICT_ROUTE": odd})
    with pytest.raises(SettingsError, match="AIP_HEALTH_ROUTE"):
        read_vertex_routes({"AIP_PREDICT_ROUTE": "/predict"})

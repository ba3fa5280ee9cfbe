"""Request ids and the line that the log gets of each request, through the application."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.observe.logs import JsonFormatter
from tests.api.conftest import SETTINGS
from tests.recordings import encoded, hum

SPEECH = encoded(hum(1.5), "WAV")
SECRET = "имя-файла-и-ключ"


def send(client: TestClient, data: bytes = SPEECH, **more: Any) -> Any:
    return client.post("/api/predict", files={"file": (f"{SECRET}.wav", data, "audio/wav")}, **more)


def access_line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (line,) = [record for record in caplog.records if record.name == "vnyatno.access"]
    fields: dict[str, Any] = line.fields  # type: ignore[attr-defined]
    return fields


@pytest.mark.parametrize("sane", ["a", "Z" * 64, "0.9_a-b"])
def test_a_sane_id_is_echoed(client: TestClient, sane: str) -> None:
    for response in (
        send(client, headers={"X-Request-ID": sane}),
        client.get("/api/nothing", headers={"X-Request-ID": sane}),
    ):
        assert response.headers.get_list("x-request-id") == [sane]
    assert response.json()["request_id"] == sane


@pytest.mark.parametrize("odd", ["", "Z" * 65, "a b", "a;b", 'a"b', "é", "a\u0000b", "../x"])
def test_any_other_id_is_made_anew(client: TestClient, odd: str) -> None:
    response = client.get("/api/nothing", headers={b"X-Request-ID": odd.encode("latin-1")})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_two_requests_have_two_ids(client: TestClient) -> None:
    assert client.get("/api/health").headers["x-request-id"] != client.get("/api/health").headers["x-request-id"]


def test_refusals_of_every_layer_name_the_request(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a fault of our own")

    answers = [
        send(client, b"no sound"),
        send(client, bytes(SETTINGS.max_upload_bytes * 3)),
        client.get("/api/predict"),
    ]
    monkeypatch.setattr(app.state.engine._model_queue, "submit", fail)
    answers.append(send(client))
    assert [answer.status_code for answer in answers] == [415, 413, 405, 500]
    for answer in answers:
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_the_line_says_what_the_request_was(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        response = send(client)
    fields = access_line(caplog)
    assert list(fields) == [
        "method", "route", "status", "seconds", "bytes_received", "bytes_sent", "sound_seconds", "bundle",
    ]  # fmt: skip
    assert (fields["method"], fields["route"], fields["status"]) == ("POST", "/api/predict", 200)
    assert (fields["bundle"], fields["sound_seconds"]) == ("tiny-1", 1.5)
    assert fields["bytes_received"] == len(response.request.content)
    assert fields["bytes_sent"] == len(response.content)
    assert 0 < fields["seconds"] < 60


def test_nothing_that_a_client_wrote_comes_into_the_log(
    client: TestClient, app: FastAPI, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a fault of our own")

    with caplog.at_level(logging.INFO):
        headers = {"Authorization": f"Bearer {SECRET}".encode(), "X-API-Key": SECRET.encode()}
        send(client, headers=headers, params={"key": SECRET})
        client.get(f"/api/{SECRET}", headers=headers)
        client.request("BREW", f"/api/{SECRET}")
        monkeypatch.setattr(app.state.engine._model_queue, "submit", fail)
        assert send(client, headers=headers, params={"key": SECRET}).status_code == 500
    text = "\n".join(JsonFormatter().format(record) for record in caplog.records if record.name.startswith("vnyatno"))
    assert "a fault of our own" in text
    assert SECRET not in text
    assert "BREW" not in text
    assert json.dumps(SECRET).strip('"') not in text


def test_an_unknown_method_is_one_label(client: TestClient, app: FastAPI) -> None:
    for word in ("BREW", "SPILL"):
        client.request(word, "/api/health")
    methods = {
        sample.labels["method"] for metric in app.state.engine.metrics._requests.collect() for sample in metric.samples
    }
    assert "other" in methods
    assert not {"BREW", "SPILL"} & methods


def test_what_is_refused_before_routing_is_counted_under_its_route(client: TestClient, app: FastAPI) -> None:
    counted = app.state.engine.metrics._requests.labels("/api/predict", "POST", "413")._value.get
    before = counted()
    send(client, bytes(SETTINGS.max_upload_bytes * 3))
    assert counted() == before + 1

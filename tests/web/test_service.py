"""The client of the service, against a real HTTP server."""

from __future__ import annotations

import io

import pytest

from tests.ports import free_port
from tests.web.service import MODEL, PREDICTION, StubService, problem
from web.service import (
    Busy,
    Down,
    KeyRefused,
    MissingRoute,
    NoModel,
    OddAnswer,
    RecordingRefused,
    Service,
    ServiceError,
    Slow,
)


@pytest.fixture
def service(stub: StubService) -> Service:
    stub.reset()
    return Service(stub.url + "/", "a-key", seconds=5)


def test_prediction_is_the_json_as_it_came(service: Service, stub: StubService) -> None:
    assert service.predict(b"RIFF", "a.wav", text="Карл у Клары") == PREDICTION
    sent = stub.asked[-1]
    assert sent.headers["Authorization"] == "Bearer a-key"
    assert b'filename="a.wav"' in sent.body
    assert "Карл у Клары".encode() in sent.body
    assert b"RIFF" in sent.body


def test_reading(service: Service, stub: StubService) -> None:
    assert service.model() == MODEL
    assert service.models(limit=5)["total"] == 0
    assert stub.asked[-1].path == "/api/models?limit=5&offset=0&recipe=defects"
    assert service.health()["status"] == "ok"
    assert service.drift() is None


def test_batches(service: Service, stub: StubService) -> None:
    stub.reply("POST", "/api/batches", 202, {"id": "b1", "state": "waiting"})
    stub.reply("GET", "/api/batches/b1/results", 200, b"a,b\n")
    stub.reply("DELETE", "/api/batches/b1", 200, {"deleted": "b1"})
    assert service.start_batch(io.BytesIO(b"PK"), "calls.zip", sides=True)["id"] == "b1"
    assert service.batch_results("b1", "csv") == b"a,b\n"
    service.delete_batch("b1")
    service.delete_batch("gone")


def test_an_id_is_never_more_than_one_part_of_a_path(service: Service, stub: StubService) -> None:
    for sly in ("../model", "..", "a/b?c#d"):
        with pytest.raises(MissingRoute):
            service.batch(sly)
        assert stub.asked[-1].path.startswith("/api/batches/")
        assert stub.asked[-1].path.count("/") == 3


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "no_model", NoModel),
        (503, "busy", Busy),
        (503, "starting", Busy),
        (429, "too_many", Busy),
        (401, "key_missing", KeyRefused),
        (403, "forbidden_role", KeyRefused),
        (422, "too_short", RecordingRefused),
        (415, "not_audio", RecordingRefused),
        (500, "internal", OddAnswer),
        (302, "elsewhere", OddAnswer),
    ],
)
def test_problems_are_errors_of_their_kind(
    service: Service, stub: StubService, status: int, code: str, kind: type[ServiceError]
) -> None:
    stub.reply("POST", "/api/predict", status, problem(status, code, "a sentence of the service"))
    with pytest.raises(ServiceError) as caught:
        service.predict(b"x")
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.detail) == (code, "a sentence of the service")
    assert caught.value.message("ru") != caught.value.message("en")


def test_a_refusal_that_is_not_known_gives_the_services_own_sentence(service: Service, stub: StubService) -> None:
    stub.reply("POST", "/api/predict", 422, problem(422, "new_kind", "too purple"))
    with pytest.raises(RecordingRefused) as caught:
        service.predict(b"x")
    assert "too purple" in caught.value.message("en")


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff"])
def test_odd_answers(service: Service, stub: StubService, body: bytes) -> None:
    stub.reply("GET", "/api/model", 200, body)
    with pytest.raises(OddAnswer):
        service.model()


def test_nobody_there() -> None:
    with pytest.raises(Down):
        Service(f"http://127.0.0.1:{free_port()}").model()


def test_too_slow(stub: StubService) -> None:
    stub.reset()
    stub.reply("GET", "/api/model", 200, MODEL, seconds=1.0)
    with pytest.raises(Slow):
        Service(stub.url, seconds=0.2).model()

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from api.worker import engine
from api.worker.model_queue import QueueFull
from speech.audio.decode import AudioError
from speech.bundles.defects import load_bundle
from speech.defects.calibration import Calibration
from speech.defects.diagnose import diagnose
from speech.defects.model import DefectModel
from speech.defects.multilabel import MultilabelCalibration, Platt
from speech.defects.sounds import SoundScale
from speech.home import Home
from speech.serving.pointer import pointer_file, publish
from speech.text.language import Language, load_language
from tests.api.conftest import SETTINGS, ended, started
from tests.api.event_loop import on_event_loop
from tests.bundles import CLASSES, METRICS, tiny_spec, write_tiny_bundle
from tests.recordings import encoded, hum

SPEECH = encoded(hum(1.5), "MP3")


def image(form: str) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.mp3", SPEECH)
    return buffer.getvalue()


def send(client: TestClient, data: bytes, name: str = "a.mp3", *, text: str | None = None, **more: Any) -> Any:
    form = None if text is None else {"text": text}
    return client.post("/api/predict", files={"file": (name, data, "audio/mpeg")}, data=form, **more)


def require_problem(response: Any, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert len(problem["detail"].split()) >= 3


def test_a_recording_is_diagnosed_as_evaluation_would(client: TestClient, app: FastAPI) -> None:
    clip = hum(1.5)
    response = send(client, encoded(clip, "WAV"), "a.wav")
    assert response.status_code == 200
    answer = response.json()
    bundle = load_bundle(app.state.engine.serving().bundle.folder)
    pcm16 = (np.round(clip * 32768).clip(-32768, 32767) / 32768).astype(np.float32)
    expected = diagnose(bundle.model, [pcm16], bundle.calibration)[0]
    assert not np.allclose(expected.probabilities, diagnose(bundle.model, [pcm16])[0].probabilities, atol=1e-2)
    np.testing.assert_allclose(answer["predict_proba"], expected.probabilities, atol=1e-3)
    np.testing.assert_allclose(answer["logits"], expected.logits, atol=1e-2)
    assert answer["classes"] == list(CLASSES)
    assert answer["class"] == CLASSES[int(np.argmax(answer["predict_proba"]))]
    assert sum(answer["predict_proba"]) == pytest.approx(1.0)
    assert answer["bundle"] == "tiny-1"
    assert answer["duration"] == pytest.approx(1.5, abs=0.01)
    assert set(answer["markers"]) == {"р", "г"}
    assert answer["verdicts"] == expected.verdicts
    assert answer["verdicts"]["burr"] == "not_assessable"
    assert set(answer["verdicts"]) == set(CLASSES) - {"none"}
    assert answer["places"] == [
        {"class": place.defect, "start": place.start, "end": place.end, "score": place.score, "words": None}
        for place in expected.places
    ]
    assert answer["places"]
    assert answer["exclusive"] is True
    named = {
        "predict_proba",
        "classes",
        "exclusive",
        "class",
        "verdicts",
        "places",
        "logits",
        "bundle",
        "duration",
        "markers",
    }
    described = {"quality", "warnings", "tempo", "peaks", "unlike_training"}
    assert set(answer) == named | {"words", "words_from", "sounds"} | described
    assert (answer["words"], answer["words_from"], answer["sounds"]) == (None, None, None)


def test_several_defects_at_once_are_said_to_be_so(data_home: Home) -> None:
    always = Platt(bias=20.0, yes_from=0.9)
    defects = {"burr": always, "fricative_g": Platt(bias=-20.0), "stutter": always}
    given = MultilabelCalibration(CLASSES, defects, heard_from={"burr": 0.01, "stutter": 0.01})
    torch.manual_seed(6)  # weights by which something speaks for both defects
    spec = replace(tiny_spec(), alphabet=load_language("ru").alphabet, exclusive=False)
    write_tiny_bundle(data_home, "several", model=DefectModel(spec).eval(), calibration=given)
    publish(data_home, "several")
    app = started(data_home)
    try:
        with TestClient(app) as client:
            answer = send(client, SPEECH, text="Карл у Клары").json()
            card = client.get("/api/model").json()
    finally:
        ended(app)
    none, burr, g, stutter = answer["predict_proba"]
    assert answer["exclusive"] is False
    assert card["exclusive"] is False
    assert answer["classes"] == list(CLASSES)
    assert none == pytest.approx((1 - burr) * (1 - g) * (1 - stutter))
    assert burr + stutter > 1.9
    assert answer["class"] in {"burr", "stutter"}
    assert answer["verdicts"] == {"burr": "yes", "fricative_g": "no", "stutter": "yes"}
    assert {place["class"] for place in answer["places"]} == {"burr", "stutter"}
    assert answer["words_from"] == "text"
    assert all(place["words"] and set(place["words"]) <= {0, 1, 2} for place in answer["places"])


def test_each_marker_letter_of_a_text_is_scored(data_home: Home) -> None:
    spec = replace(tiny_spec(), alphabet=load_language("ru").alphabet)
    letters = {"burr": ("р",), "fricative_g": ("г",)}
    given = Calibration(letters=letters, sounds={"burr": SoundScale((-0.5, 1.0), 0.2)})
    write_tiny_bundle(data_home, "scored", model=DefectModel(spec).eval(), calibration=given)
    publish(data_home, "scored")
    app = started(data_home)
    try:
        with TestClient(app) as client:
            answer = send(client, SPEECH, text="Карл у горы").json()
            untold = send(client, SPEECH).json()
    finally:
        ended(app)
    assert [(sound["letter"], sound["word"]) for sound in answer["sounds"]] == [("р", 0), ("р", 2)]  # г has no scale
    for sound in answer["sounds"]:
        word = answer["words"][sound["word"]]
        assert word["start"] - 0.05 <= sound["start"] < sound["end"] <= word["end"] + 0.2
        assert set(sound["defects"]) == {"burr"}
        assert sound["score"] == pytest.approx(1 - sound["defects"]["burr"], abs=1e-3)
        assert 0 < sound["score"] < 1
    assert untold["sounds"] is None


def test_a_text_is_laid_over_the_recording(spelling_client: TestClient) -> None:
    answer = send(spelling_client, SPEECH, text="Карл у Клары").json()
    assert [word["text"] for word in answer["words"]] == ["Карл", "у", "Клары"]
    assert answer["words_from"] == "text"
    assert answer["sounds"] is None  # the bundle has learned no scale
    ends = [0.0] + [moment for word in answer["words"] for moment in (word["start"], word["end"])]
    assert ends == sorted(ends)
    assert ends[-1] <= answer["duration"] + 0.1
    assert answer["places"]
    assert all(place["words"] and set(place["words"]) <= {0, 1, 2} for place in answer["places"])


def test_a_languages_file_is_read_once_and_beside_the_event_loop(
    spelling_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bool] = []

    def load(code: str) -> Language:
        read.append(on_event_loop())
        return load_language(code)

    engine._language.cache_clear()
    monkeypatch.setattr(engine, "load_language", load)
    for _ in range(3):
        assert send(spelling_client, SPEECH, text="Карл у Клары").status_code == 200
    assert read == [False]


@pytest.mark.parametrize(("text", "code"), [("weiß", "text_does_not_fit"), ("рога " * 200, "text_does_not_fit")])
def test_a_text_that_cannot_be_laid_is_422(spelling_client: TestClient, text: str, code: str) -> None:
    require_problem(send(spelling_client, SPEECH, text=text), 422, code)


def test_a_bundle_that_only_counts_says_so(client: TestClient) -> None:
    require_problem(send(client, SPEECH, text="Карл у Клары"), 422, "no_alignment")


@pytest.mark.parametrize("form", ["WAV", "MP3", "FLAC", "OGG"])
@pytest.mark.parametrize("rate", [8000, 44_100])
def test_recordings_of_any_kind_and_rate_are_taken(client: TestClient, form: str, rate: int) -> None:
    response = send(client, encoded(hum(1.0, rate=rate), form, rate), "recording")
    assert response.status_code == 200
    assert response.json()["duration"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream", "text/plain", "nonsense"])
def test_what_the_client_calls_the_file_does_not_matter(client: TestClient, kind: str) -> None:
    for name in ("../../etc/passwd", "/dev/null", "имя.mp3", "x" * 300):
        response = client.post("/api/predict", files={"file": (name, SPEECH, kind)})
        assert response.status_code == 200


@pytest.mark.parametrize("device", [None, "cpu", "cuda:7", ""])
def test_the_known_client_goes_on_working(client: TestClient, device: str | None) -> None:
    data = None if device is None else {"device": device}
    response = client.post("/api/predict", files={"file": ("a.mp3", io.BytesIO(SPEECH), "audio/mpeg")}, data=data)
    none, r, g, stutter = response.json()["predict_proba"]
    assert none + r + g + stutter == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "no_file"),
        ({"data": {"device": "cpu"}}, "no_file"),
        ({"json": {"file": "a.mp3"}}, "no_file"),
        ({"content": SPEECH, "headers": {"content-type": "audio/mpeg"}}, "no_file"),
        ({"files": {"recording": ("a.mp3", SPEECH)}}, "no_file"),
        ({"data": {"file": "http://127.0.0.1:1/a.mp3"}}, "not_a_file"),
        ({"files": {"file": (None, "text"), "other": ("b", b"b")}}, "not_a_file"),
        ({"files": {"file": ("a.mp3", b"")}}, "empty"),
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, "bad_request"),
        ({"content": b"no parts", "headers": {"content-type": "multipart/form-data; boundary=x"}}, "bad_request"),
        ({"content": b"--x\r\n\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}, None),
        (
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--x--\r\n',
                "headers": {"content-type": "multipart/form-data; boundary=x; charset=nonsense"},
            },
            None,
        ),
    ],
)
def test_a_request_without_a_file_is_400(client: TestClient, request_: dict[str, Any], code: str | None) -> None:
    response = client.post("/api/predict", **request_)
    require_problem(response, 400, code or response.json()["code"])


@pytest.mark.parametrize(
    "data",
    [
        b"these are words and no sound, " * 100,
        image("PNG"),
        image("JPEG"),
        image("GIF"),
        zipped(),
        b"<html><body>Sign in</body></html>",
        json.dumps({"file": "a.mp3"}).encode(),
        np.random.default_rng(0).bytes(20_000),
        bytes(20_000),
        b"RIFF\xff\xff\xff\xffWAVE",
        encoded(hum(1.0)).replace(b"fmt \x10\0\0\0\x01\0", b"fmt \x10\0\0\0\x7a\x7a"),
        b"ID3",
        b"\x80\x04K\x01.",
    ],
    ids=["text", "png", "jpeg", "gif", "zip", "html", "json", "random", "zeros", "riff", "codec", "id3", "pickle"],
)
def test_what_is_no_sound_is_415(client: TestClient, data: bytes) -> None:
    require_problem(send(client, data), 415, "not_audio")


def test_too_large_is_413_declared_or_chunked(client: TestClient) -> None:
    large = bytes(3_000_000)
    require_problem(send(client, large), 413, "too_large")

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for start in range(0, len(large), 50_000):
            yield large[start : start + 50_000]
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    require_problem(client.post("/api/predict", content=chunks(), headers=headers), 413, "too_large")


def test_a_file_just_too_large_is_413(client: TestClient) -> None:
    require_problem(send(client, bytes(SETTINGS.max_upload_bytes + 1)), 413, "too_large")


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (hum(20.5)[::1], "too_long"),
        (hum(0.01), "too_short"),
        (np.zeros(32_000, dtype=np.float32), "silent"),
        (hum(1.0) * 1e-4, "silent"),
    ],
)
def test_sound_that_cannot_be_judged_is_422(client: TestClient, samples: np.ndarray, code: str) -> None:
    require_problem(send(client, encoded(samples, "FLAC")), 422, code)


def test_a_recording_cut_off_is_judged_or_refused_but_no_failure(client: TestClient) -> None:
    for form in ("WAV", "MP3", "FLAC", "OGG"):
        data = encoded(hum(2.0), form)
        for share in (0.01, 0.3, 0.9):
            assert send(client, data[: int(len(data) * share)]).status_code in {200, 415, 422}


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (AudioError("decoder_crashed", "the decoder broke off"), 422, "decoder_crashed"),
        (AudioError("decoder_timeout", "decoding took too long"), 422, "decoder_timeout"),
        (QueueFull(7), 503, "busy"),
        (FloatingPointError("not finite"), 422, "not_assessable"),
        (torch.OutOfMemoryError("CUDA out of memory."), 503, "no_memory"),
        (RuntimeError("a fault of our own"), 500, "internal"),
    ],
)
def test_faults_inside_have_answers_too(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: int, code: str
) -> None:
    async def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(app.state.engine._model_queue, "submit", fail)
    response = send(client, SPEECH)
    require_problem(response, status, code)
    assert response.headers.get("retry-after") == {"busy": "7", "no_memory": "5"}.get(code)
    assert "a fault of our own" not in response.text


def test_a_request_that_takes_too_long_is_503(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.engine, "_settings", SETTINGS.model_copy(update={"request_seconds": 0.2}))
    monkeypatch.setattr(app.state.engine._model_queue, "submit", lambda *_: asyncio.sleep(30))
    response = send(client, SPEECH)
    require_problem(response, 503, "timeout")
    assert response.headers["retry-after"]


def test_what_is_not_there_is_404_and_the_wrong_method_405(client: TestClient) -> None:
    require_problem(client.get("/api/nothing"), 404, "not_found")
    for response in (client.get("/api/predict"), client.delete("/api/model")):
        require_problem(response, 405, "method_not_allowed")
    assert client.get("/api/predict").headers["allow"] == "POST"


def test_the_model_card_says_what_serves(client: TestClient) -> None:
    card = client.get("/api/model").json()
    assert card["bundle"] == "tiny-1"
    assert card["exclusive"] is True
    assert [item["name"] for item in card["classes"]] == list(CLASSES)
    assert card["classes"][1]["names"] == {"ru": "burr по-русски", "en": "burr"}
    assert card["metrics"] == METRICS
    assert card["limits"] == {
        "min_seconds": 0.2, "max_seconds": 20.0, "max_upload_bytes": 1_000_000, "sample_rate": 16_000,
    }  # fmt: skip
    assert {item["name"]: item["passed"] for item in card["gate"]} == {
        "minimum_macro_f1": True, "no_class_at_zero": True, "class_floors": True, "not_worse_than_champion": True,
    }  # fmt: skip
    assert card["published"]
    assert card["previous"] is None
    assert card["refused"] is None
    assert client.get("/api/health").json() == {
        "status": "ok", "bundle": "tiny-1", "refused": None,
        "recipes": {"defects": {"bundle": "tiny-1", "refused": None}, "asr": {"bundle": None, "refused": None}},
    }  # fmt: skip


def test_before_any_model_everything_says_how_to_train_one(data_home: Home) -> None:
    app = started(data_home)
    app.state.engine.loader.close()  # so that it follows when told to
    try:
        with TestClient(app) as client:
            for response in (send(client, SPEECH), client.get("/api/model")):
                require_problem(response, 503, "no_model")
                assert "make demo" in response.json()["detail"]
                assert response.headers["retry-after"]
            assert client.get("/api/health").json()["status"] == "no_model"
            write_tiny_bundle(data_home, "tiny-2")
            publish(data_home, "tiny-2")
            app.state.engine.loader.look()
            assert send(client, SPEECH).json()["bundle"] == "tiny-2"
            pointer_file(data_home).write_text("current: tiny-nowhere\n")
            app.state.engine.loader.look()
            assert send(client, SPEECH).json()["bundle"] == "tiny-2"
            health = client.get("/api/health").json()
            assert (health["status"], health["refused"]["bundle"]) == ("degraded", "tiny-nowhere")
            assert "tiny-nowhere" in client.get("/api/model").json()["refused"]["reason"]
    finally:
        ended(app)


def test_figures_that_json_cannot_hold_are_null(data_home: Home) -> None:
    write_tiny_bundle(data_home, "tiny-1", metrics=METRICS | {"loss": float("nan"), "curve": [1.0, float("inf")]})
    publish(data_home, "tiny-1")
    app = started(data_home)
    try:
        with TestClient(app) as client:
            metrics = client.get("/api/model").json()["metrics"]
            assert (metrics["loss"], metrics["curve"]) == (None, [1.0, None])
    finally:
        ended(app)


def test_the_bundles_own_limit_counts_where_it_is_lower(data_home: Home) -> None:
    write_tiny_bundle(data_home, "tiny-1", max_seconds=3.0)
    publish(data_home, "tiny-1")
    app = started(data_home)
    try:
        with TestClient(app) as client:
            require_problem(send(client, encoded(hum(3.5))), 422, "too_long")
            assert send(client, encoded(hum(2.5))).status_code == 200
    finally:
        ended(app)


def test_swagger_ui_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/api/docs")
    assert page.status_code == 200
    assert str(page.url).endswith("/api/docs/")
    assert "//" not in page.text.replace("</", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-light-32x32.png"):
        assert f"files/{name}" in page.text
        assert client.get(f"/api/docs/files/{name}").status_code == 200
    assert client.get("/api/docs/files/../../../../../_version.py").status_code == 404


def test_the_openapi_document_describes_answers_and_failures(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    assert set(document["paths"]) == {
        "/api/predict", "/api/model", "/api/health", "/api/models", "/api/model/rollback", "/api/model/history",
        "/api/drift", "/api/transcribe", "/v1/audio/transcriptions", "/v1/models", "/v1/models/{model}",
        "/api/batches", "/api/batches/{batch}", "/api/batches/{batch}/results", "/api/batches/{batch}/cancel",
    }  # fmt: skip
    predict = document["paths"]["/api/predict"]["post"]
    assert set(predict["responses"]) == {"200", "400", "401", "408", "413", "415", "422", "429", "501", "503"}
    for status in ("400", "422", "503"):
        assert set(predict["responses"][status]["content"]) == {"application/problem+json"}
    fields = document["components"]["schemas"]["Prediction"]["properties"]
    assert {"class", "predict_proba"} <= set(fields)
    words = fields["verdicts"]["additionalProperties"]["$ref"].rpartition("/")[2]
    assert document["components"]["schemas"][words]["enum"] == ["yes", "no", "unsure", "not_assessable"]
    assert all(field.get("description") for field in fields.values())


def test_metrics_name_routes_and_never_what_was_sent(client: TestClient, app: FastAPI) -> None:
    registry = app.state.engine.metrics._requests

    def count(**labels: str) -> float:
        return registry.labels(**labels)._value.get()

    good = {"route": "/api/predict", "method": "POST", "status": "200"}
    bad = {"route": "/api/{rest:path}", "method": "GET", "status": "404"}
    before = count(**good), count(**bad)
    send(client, SPEECH)
    for path in ("one", "two/three"):
        client.get(f"/api/{path}")
    assert (count(**good), count(**bad)) == (before[0] + 1, before[1] + 2)
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    assert not any("three" in value for sample in samples for value in sample.labels.values())


def test_a_decoder_that_dies_costs_one_recording(client: TestClient, app: FastAPI) -> None:
    decoder = app.state.engine._decoders._decoders[0]
    os.kill(decoder._worker.pid, signal.SIGKILL)
    answers = [send(client, SPEECH).status_code for _ in range(2)]
    assert answers[1] == 200
    assert answers[0] in {200, 422}


def test_a_client_that_goes_away_leaves_the_queue(app: FastAPI, tmp_path: Path) -> None:
    """Straight at the application, since a test client cannot hang up."""
    submitted = asyncio.Event()
    cancelled = asyncio.Event()

    async def submit(*_: object) -> None:
        submitted.set()
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()

    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + SPEECH + b"\r\n--x--\r\n"
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/api/predict", "root_path": "",
        "raw_path": b"/api/predict", "scheme": "http", "query_string": b"", "client": None, "server": ("t", 80),
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
    }  # fmt: skip

    async def scenario() -> list[Any]:
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await submitted.wait()
            return {"type": "http.disconnect"}

        async def note(message: Any) -> None:
            sent.append(message)

        original, app.state.engine._model_queue.submit = app.state.engine._model_queue.submit, submit
        try:
            async with asyncio.timeout(10):
                await app(scope, receive, note)
                await cancelled.wait()
        finally:
            app.state.engine._model_queue.submit = original
        return sent

    assert asyncio.run(scenario())[0]["status"] == 499

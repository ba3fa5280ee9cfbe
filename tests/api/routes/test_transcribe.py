"""Transcription through the application: both forms of asking, limits, errors, and both recipes beside each other."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.routes.captions import segments, srt
from api.schemas.openai import ANSWERS
from api.settings import ServiceSettings
from api.worker.model_queue import QueueFull
from speech.audio.decode import decode
from speech.bundles.recogniser import load_recogniser_bundle
from speech.ctc.transcription import transcribe
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import ended, started
from tests.bundles import write_tiny_bundle
from tests.recognisers import peaked, tiny_lasr, tiny_recogniser, write_tiny_recogniser
from tests.recordings import babble, encoded, hum
from tests.speech.audio.known_cases.sounds import NO_SPEECH

SETTINGS = ServiceSettings(
    max_upload_bytes=2_000_000, max_seconds=20, decoders=1, threads=1, transcribe_max_seconds=60, batch_size=2
)
SOUND = babble(30, 4.0)
SPEECH = encoded(SOUND)
LONG = encoded(np.concatenate([babble(60, 4.0, seed) for seed in range(3)]))  # two windows and more
KNOWN_CASES = Path(__file__).resolve().parents[2] / "speech" / "audio" / "known_cases"
BUNDLE = "asr-0123456789ab"
HERE = ("127.0.0.1", 50_000)
LOCAL = "http://127.0.0.1"
CASES = Path(__file__).parents[1] / "intake" / "known_cases"
GRANULARITIES: dict[str, list[tuple[str, str]]] = json.loads((CASES / "openai_granularities.json").read_text())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(Path(tmp_path_factory.mktemp("home")))
    write_tiny_recogniser(home, BUNDLE, tiny_recogniser(tmp_path_factory.mktemp("vocabulary")))
    publish(home, BUNDLE)
    return home


@pytest.fixture(scope="module")
def app(home: Home) -> Iterator[FastAPI]:
    app = started(home, SETTINGS)
    yield app
    ended(app)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False, client=HERE, base_url=LOCAL) as client:
        yield client


def packed(data: bytes = SPEECH, **more: Any) -> dict[str, Any]:
    return {"file": base64.b64encode(data).decode(), **more}


def spoken(home: Home, data: bytes) -> Any:
    """What evaluation makes of the recording."""
    recogniser = load_recogniser_bundle(home.bundles / BUNDLE).recogniser
    (found,) = transcribe(recogniser, [decode(data).samples])
    return found


@pytest.mark.parametrize("name", NO_SPEECH)
def test_where_nobody_speaks_no_words_are_invented(client: TestClient, name: str) -> None:
    file = ("a.wav", encoded(NO_SPEECH[name]))
    problem(client.post("/api/transcribe", files={"file": file}), 422, "no_speech")
    form = {"model": "asr", "response_format": "verbose_json"}
    answer = client.post("/v1/audio/transcriptions", files={"file": file}, data=form)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["text"], answer.json()["segments"]) == ("", [])
    assert answer.json()["duration"] == pytest.approx(len(NO_SPEECH[name]) / 16_000, abs=0.01)


@pytest.mark.parametrize(("name", "code"), [("damaged.m4a", "damaged"), ("cut.wma", "cut_short")])
def test_what_is_missing_is_said(client: TestClient, name: str, code: str) -> None:
    file = (name, (KNOWN_CASES / name).read_bytes())
    answer = client.post("/api/transcribe", files={"file": file})
    assert (answer.status_code, [one["code"] for one in answer.json()["warnings"]]) == (200, [code])
    other = client.post("/v1/audio/transcriptions", files={"file": file}, data={"model": "asr"}).json()
    assert [one["code"] for one in other["warnings"]] == [code]


def test_of_a_whole_recording_nothing_is_said(client: TestClient) -> None:
    file = ("a.wav", SPEECH)
    assert client.post("/api/transcribe", files={"file": file}).json()["warnings"] == []
    assert "warnings" not in client.post("/v1/audio/transcriptions", files={"file": file}, data={"model": "asr"}).json()


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    return dict(response.json())


def openai_error(response: httpx.Response, status: int, code: str, param: str | None) -> str:
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param), response.text
    return str(error["message"])


def test_a_form_and_the_seeds_json_are_answered_alike(client: TestClient, home: Home) -> None:
    form = client.post("/api/transcribe", files={"file": ("a.wav", SPEECH, "audio/wav")})
    inside = client.post("/api/transcribe", json=packed())
    assert form.status_code == 200, form.text
    assert form.json() == inside.json()
    url = "data:audio/wav;base64," + packed()["file"]
    assert form.json() == client.post("/api/transcribe", json={"file": url}).json()
    answer, expected = form.json(), spoken(home, SPEECH)
    assert len(expected.text) > 10
    assert answer["text"] == expected.text
    assert answer["words"] is None
    assert (answer["bundle"], answer["language"]) == (BUNDLE, "ru")
    assert answer["duration"] == pytest.approx(len(SOUND) / 16_000, abs=1e-3)
    assert answer["confidence"] == pytest.approx(expected.confidence, abs=1e-3)


@pytest.mark.parametrize("as_json", [True, False])
def test_words_have_times_and_confidence_on_request(client: TestClient, home: Home, as_json: bool) -> None:
    asked: dict[str, Any] = (
        {"json": packed(words=True)} if as_json else {"files": {"file": SPEECH}, "data": {"words": "true"}}
    )
    answer = client.post("/api/transcribe", **asked).json()
    assert " ".join(word["word"] for word in answer["words"]) == answer["text"]
    assert [(word["word"], word["start"], word["end"]) for word in answer["words"]] == [
        (word.text, word.start, word.end) for word in spoken(home, SPEECH).words
    ]
    assert all(0 <= word["confidence"] <= 1 for word in answer["words"])


def test_a_long_recording_is_heard_in_windows_as_evaluation_hears_it(client: TestClient, home: Home) -> None:
    answer = client.post("/api/transcribe", files={"file": LONG}, data={"words": "true"}).json()
    expected = spoken(home, LONG)
    assert expected.seconds > 45
    assert answer["text"] == expected.text
    assert [word["start"] for word in answer["words"]] == [word.start for word in expected.words]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b'{"file": "%%%"}', "not_base64", "file"),
        (b'{"file": "UklGRg"}', "not_base64", "file"),
        (b'{"data": "UklGRg=="}', "no_file", "file"),
        (b'{"file": 7}', "bad_request", "file"),
        (b'{"file": "UklG", "words": 3}', "bad_request", "words"),
        (b'{"file": ', "bad_json", None),
        (b"\xff\xfe", "bad_json", None),
        (b"[" * 100_000, "bad_json", None),
        (b"[]", "bad_json", None),
        (b"", "no_file", "file"),
    ],
)
def test_json_without_a_recording_is_400_and_names_the_field(
    client: TestClient, body: bytes, code: str, field: str | None
) -> None:
    answer = problem(
        client.post("/api/transcribe", content=body, headers={"content-type": "application/json"}), 400, code
    )
    assert answer.get("field") == field
    assert not field or field in answer["detail"]


@pytest.mark.parametrize("kind", ["audio/wav", "text/plain", "application/octet-stream"])
def test_other_content_types_are_415(client: TestClient, kind: str) -> None:
    answer = problem(
        client.post("/api/transcribe", content=SPEECH, headers={"content-type": kind}), 415, "unsupported_media_type"
    )
    assert kind in answer["detail"]
    assert '{"file": "<base64>"}' in answer["detail"]


def test_no_body_at_all_and_a_form_without_a_file(client: TestClient) -> None:
    assert problem(client.post("/api/transcribe"), 400, "no_file")["field"] == "file"
    assert problem(client.post("/api/transcribe", files={"other": SPEECH}), 400, "no_file")["field"] == "file"
    assert problem(client.post("/api/transcribe", data={"file": "a.wav"}), 400, "not_a_file")["field"] == "file"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "empty"),
        (b"no sound at all", 415, "not_audio"),
        (encoded(np.zeros(32_000, np.float32)), 422, "silent"),
        (encoded(hum(0.05)), 422, "too_short"),
        (encoded(hum(61.0) * 0.5, "FLAC"), 422, "too_long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_heard_names_the_file(client: TestClient, data: bytes, status: int, code: str) -> None:
    assert problem(client.post("/api/transcribe", files={"file": ("a", data)}), status, code)["field"] == "file"
    if data:
        assert problem(client.post("/api/transcribe", json=packed(data)), status, code)["field"] == "file"
    asked = client.post("/v1/audio/transcriptions", files={"file": ("a", data)}, data={"model": "whisper-1"})
    assert openai_error(asked, status, code, "file")


def test_too_much_is_413_declared_or_chunked_in_both_forms(client: TestClient) -> None:
    most = SETTINGS.max_upload_bytes
    fits = json.dumps(packed(bytes(most))).encode()
    too_much = json.dumps(packed(bytes(most + 200_000))).encode()
    headers = {"content-type": "application/json"}

    def pieces(body: bytes) -> Iterator[bytes]:
        for at in range(0, len(body), 100_000):
            yield body[at : at + 100_000]

    problem(client.post("/api/transcribe", content=fits, headers=headers), 415, "not_audio")
    problem(client.post("/api/transcribe", content=too_much, headers=headers), 413, "too_large")
    problem(client.post("/api/transcribe", content=pieces(too_much), headers=headers), 413, "too_large")
    # A form may not use what JSON needs for its base64.
    answer = problem(client.post("/api/transcribe", files={"file": bytes(most + 200_000)}), 413, "too_large")
    assert answer["field"] == "file"
    asked = client.post("/v1/audio/transcriptions", files={"file": bytes(most * 2)}, data={"model": "asr"})
    openai_error(asked, 413, "too_large", None)


def test_a_language_that_is_not_understood_is_422(client: TestClient) -> None:
    for language in ("ru", "RU", "ru-RU", "russian", ""):
        asked = client.post("/api/transcribe", files={"file": SPEECH}, data={"language": language})
        assert asked.status_code == 200, asked.text
    answer = problem(client.post("/api/transcribe", json=packed(language="fr")), 422, "language_not_understood")
    assert answer["field"] == "language"
    assert "ru" in answer["detail"]


def ask(client: TestClient, **fields: Any) -> httpx.Response:
    return client.post("/v1/audio/transcriptions", files={"file": ("a.wav", SPEECH)}, data={"model": "asr"} | fields)


def test_openais_formats(client: TestClient, home: Home) -> None:
    said = spoken(home, SPEECH)
    assert ask(client).json()["text"] == said.text
    assert ask(client, response_format="text").text == said.text + "\n"
    assert ask(client, response_format="srt").text == srt(segments(said.words))
    assert ask(client, response_format="vtt").text.startswith("WEBVTT\n\n00:00:0")
    verbose = ask(
        client, response_format="verbose_json", prompt="Пациент", temperature="0.2", chunking_strategy="auto"
    ).json()
    assert (verbose["task"], verbose["language"], verbose["text"]) == ("transcribe", "russian", said.text)
    assert verbose["duration"] == pytest.approx(said.seconds, abs=1e-3)
    assert " ".join(segment["text"] for segment in verbose["segments"]) == said.text
    assert "words" not in verbose
    both = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    words = ask(client, **both).json()
    assert [word["word"] for word in words["words"]] == [word.text for word in said.words]
    assert words["segments"] == verbose["segments"]
    only = ask(client, response_format="verbose_json", **{"timestamp_granularities[]": "word"}).json()
    assert "segments" not in only


@pytest.mark.parametrize("fields", GRANULARITIES.values(), ids=GRANULARITIES)
def test_granularities_are_read_however_they_are_written(client: TestClient, fields: list[tuple[str, str]]) -> None:
    form = [("model", "asr"), ("response_format", "verbose_json"), *fields]
    answer = client.post(
        "/v1/audio/transcriptions", files=[("file", SPEECH), *((name, (None, value)) for name, value in form)]
    ).json()
    assert ("words" in answer, "segments" in answer) == (
        any("word" in value for _, value in fields), any("segment" in value for _, value in fields)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"timestamp_granularities": "day", "response_format": "verbose_json"}, 400, "bad_request", None),
        ({"timestamp_granularities": "word"}, 400, "unsupported_value", "timestamp_granularities"),
        ({"include[]": "logprobs"}, 400, "unknown_field", "include[]"),
        ({"known_speaker_names[]": "anna"}, 400, "unknown_field", "known_speaker_names[]"),
        ({"response-format": "srt"}, 400, "unknown_field", "response-format"),
        ({"response_format": "yaml"}, 400, "bad_request", "response_format"),
        ({"temperature": "hot"}, 400, "bad_request", "temperature"),
        ({"stream": "true", "response_format": "srt"}, 400, "unsupported_value", "stream"),
        ({"stream": "true", "response_format": "verbose_json"}, 400, "unsupported_value", "stream"),
        ({"stream": "true", "language": "fr"}, 422, "language_not_understood", "language"),
        ({"timestamp_granularities[]": "word"}, 400, "unsupported_value", "timestamp_granularities"),
        ({"response_format": "verbose_json", "timestamp_granularities[]": "day"}, 400, "bad_request", None),
        ({"language": "fr"}, 422, "language_not_understood", "language"),
        ({"model": "whisper-2"}, 404, "model_not_found", "model"),
    ],
)
def test_openais_errors(client: TestClient, fields: dict[str, str], status: int, code: str, param: str | None) -> None:
    response = ask(client, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert param is None or error["param"] == param
    assert error["type"] == "invalid_request_error"


def events(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    *blocks, rest = response.text.split("\n\n")
    assert rest == ""
    told = [json.loads(block.removeprefix("data: ")) for block in blocks]
    documented = ANSWERS[200]["content"]["text/event-stream"]["schema"]["properties"]["data"]["contentSchema"]
    for event in told:
        jsonschema_rs.validate(documented, event)
    return told


def ask_long(client: TestClient, **fields: Any) -> httpx.Response:
    return client.post(
        "/v1/audio/transcriptions", files={"file": LONG}, data={"model": "asr", "stream": "true"} | fields
    )


@pytest.fixture
def words_come(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model gives words of three letters, whatever it hears: the tiny one gives a single endless word."""

    async def emissions(bundle: Any, samples: np.ndarray) -> np.ndarray:
        letters = bundle.recogniser
        path = np.resize([3, 0, 4, 0, 5, 0, 1, 0], len(samples) // letters.frame_samples - 1)
        return peaked(path.tolist(), letters.vocabulary_size)

    monkeypatch.setattr(app.state.engine.recognition, "_submit", emissions)


@pytest.mark.usefixtures("words_come")
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_stream_tells_the_text_as_windows_come(client: TestClient, form: str) -> None:
    *deltas, last = events(ask_long(client, response_format=form))
    whole = ask_long(client, stream="false").json()["text"]
    assert last == {"type": "transcript.text.done", "text": whole}
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert len(deltas) > 2
    assert "".join(event["delta"] for event in deltas) == whole


@pytest.mark.parametrize("data", [SPEECH, encoded(hum(0.3))])
def test_a_short_stream_says_what_is_said_without_one(client: TestClient, data: bytes) -> None:
    form = {"model": "whisper-1", "stream": "true"}
    *deltas, last = events(client.post("/v1/audio/transcriptions", files={"file": data}, data=form))
    whole = client.post("/v1/audio/transcriptions", files={"file": data}, data={"model": "asr"}).json()["text"]
    assert "".join(event["delta"] for event in deltas) == last["text"] == whole


def test_what_fails_before_the_first_words_is_answered_as_without_a_stream(client: TestClient) -> None:
    for data, status, code in (
        (b"", 400, "empty"),
        (b"no sound", 415, "not_audio"),
        (encoded(hum(0.05)), 422, "too_short"),
    ):
        form = {"model": "asr", "stream": "true"}
        openai_error(
            client.post("/v1/audio/transcriptions", files={"file": ("a", data)}, data=form), status, code, "file"
        )


@pytest.mark.usefixtures("words_come")
@pytest.mark.parametrize(
    ("fault", "code"), [(QueueFull(3), "timeout"), (FloatingPointError(), "not_assessable"), (KeyError(), "internal")]
)
def test_what_fails_later_is_the_last_event(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch, fault: Exception, code: str
) -> None:
    recognition = app.state.engine.recognition
    submit, asked = recognition._submit, 0

    async def breaks_off(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > 2:
            await asyncio.sleep(1)  # until the first words are told
            raise fault
        return await submit(*given)

    monkeypatch.setattr(recognition, "_submit", breaks_off)
    if isinstance(fault, QueueFull):  # a window that was begun is offered again until the time is over
        monkeypatch.setattr(recognition, "_settings", SETTINGS.model_copy(update={"transcribe_seconds": 8.0}))
    first, *_, last = events(ask_long(client))
    assert first["type"] == "transcript.text.delta"
    assert last["error"]["code"] == code


def test_openais_file_must_be_one(client: TestClient) -> None:
    assert openai_error(client.post("/v1/audio/transcriptions", data={"model": "asr"}), 400, "no_file", "file")
    text = client.post("/v1/audio/transcriptions", data={"model": "asr", "file": "a.wav"})
    assert openai_error(text, 400, "not_a_file", "file")
    assert openai_error(client.post("/v1/audio/transcriptions", files={"file": SPEECH}), 400, "bad_request", "model")
    two = client.post("/v1/audio/transcriptions", files=[("file", SPEECH)] * 2, data={"model": "asr"})
    assert openai_error(two, 400, "several_files", "file")
    problem(client.post("/api/transcribe", files=[("file", SPEECH)] * 2), 400, "several_files")
    problem(client.post("/api/transcribe", files={"file": SPEECH}, data={"word": "true"}), 400, "unknown_field")


def test_models_are_listed_and_whatever_else_openai_has_is_404(client: TestClient) -> None:
    names = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert names == [BUNDLE, "asr", "whisper-1"]
    for name in names:
        assert client.get(f"/v1/models/{name}").json()["id"] == name
        assert ask(client, model=name).status_code == 200
    openai_error(client.get("/v1/models/gpt-4"), 404, "model_not_found", "model")
    openai_error(client.post("/v1/chat/completions", json={}), 404, "not_found", None)
    openai_error(client.get("/v1/audio/transcriptions"), 405, "method_not_allowed", None)


def test_card_history_bundles_and_health_by_recipe(client: TestClient) -> None:
    card = client.get("/api/model?recipe=asr").json()
    assert (card["bundle"], card["recipe"], card["metrics"]["wer"]) == (BUNDLE, "asr", 0.1)
    assert card["limits"]["max_seconds"] == 60
    assert {condition["name"] for condition in card["gate"]} == {"maximum_wer", "not_worse_than_champion"}
    problem(client.get("/api/model"), 503, "no_model")
    problem(client.get("/api/model?recipe=mfcc"), 400, "bad_request")
    (bundle,) = client.get("/api/models?recipe=asr").json()["bundles"]
    assert (bundle["state"], bundle["scores"]["wer"]) == ("in_service", 0.1)
    assert client.get("/api/models").json()["bundles"] == []
    (change,) = client.get("/api/model/history?recipe=asr").json()["changes"]
    assert change["after"] == BUNDLE
    assert client.get("/api/model/history").json()["changes"] == []
    health = client.get("/api/health").json()
    assert (health["status"], health["bundle"]) == ("ok", None)
    assert health["recipes"]["asr"] == {"bundle": BUNDLE, "refused": None}
    problem(client.post("/api/predict", files={"file": SPEECH}), 503, "no_model")


def test_metrics_by_recipe(client: TestClient, app: FastAPI) -> None:
    registry = app.state.engine.metrics.registry
    before = registry.get_sample_value("vnyatno_transcribed_seconds_total")
    assert client.post("/api/transcribe", files={"file": SPEECH}).status_code == 200
    after = registry.get_sample_value("vnyatno_transcribed_seconds_total")
    assert after - before == pytest.approx(len(SOUND) / 16_000)
    assert registry.get_sample_value("vnyatno_transcripts_total", {"bundle": BUNDLE}) > 1
    assert registry.get_sample_value("vnyatno_bundle_swaps_total", {"recipe": "asr"}) == 1
    assert registry.get_sample_value("vnyatno_bundle_swaps_total", {"recipe": "defects"}) == 0


def test_no_recogniser_in_service_is_503(data_home: Home) -> None:
    app = started(data_home, SETTINGS)
    try:
        with TestClient(app) as client:
            assert (
                "make demo RECIPE=asr"
                in problem(client.post("/api/transcribe", files={"file": SPEECH}), 503, "no_model")["detail"]
            )
            problem(client.post("/api/transcribe", json=packed()), 503, "no_model")
            openai_error(ask(client), 503, "no_model", None)
            assert client.get("/v1/models").json() == {"object": "list", "data": []}
            problem(client.get("/api/model?recipe=asr"), 503, "no_model")
    finally:
        ended(app)


def test_both_recipes_serve_swap_and_roll_back_each_by_itself(data_home: Home, tmp_path: Path) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    for name, recogniser in (("asr-1", tiny_recogniser(tmp_path, seed=1)), ("asr-2", tiny_lasr(seed=2))):
        write_tiny_recogniser(data_home, name, recogniser)
        publish(data_home, name)
    app = started(data_home, SETTINGS)
    try:
        with TestClient(app, client=HERE, base_url=LOCAL) as client:
            for name in ("asr-2", "asr-1"):
                answer = client.post("/api/transcribe", files={"file": SPEECH}).json()
                assert answer["bundle"] == name
                assert client.post("/api/predict", files={"file": SPEECH}).json()["bundle"] == "tiny-1"
                if name == "asr-2":
                    rolled = client.post("/api/model/rollback?recipe=asr").json()
                    assert (rolled["current"], rolled["previous"]) == ("asr-1", "asr-2")
                    app.state.engine.recognition.loader.look()
            assert client.get("/api/model").json()["bundle"] == "tiny-1"
            (data_home.bundles / "asr-2" / "model.safetensors").write_bytes(b"broken")
            problem(client.post("/api/model/rollback?recipe=asr"), 409, "bundle_refused")
            assert client.post("/api/transcribe", files={"file": SPEECH}).json()["bundle"] == "asr-1"
    finally:
        ended(app)


def test_what_is_said_is_in_no_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    said = client.post("/api/transcribe", json=packed()).json()["text"]
    longest = max(re.findall(r"\w+", said), key=len)
    assert longest not in caplog.text
    assert packed()["file"][:100] not in caplog.text

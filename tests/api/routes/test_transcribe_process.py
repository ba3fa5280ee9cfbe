"""The real service asked to transcribe by the clients that people use: OpenAI's own, and curl with JSON."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
import requests

from speech.serving.pointer import publish
from tests.api.test_service_process import Service, running, until
from tests.bundles import write_tiny_bundle
from tests.recognisers import tiny_lasr, tiny_recogniser, write_tiny_recogniser
from tests.recordings import babble, encoded
from web import snippets

SPEECH = encoded(babble(30, 4.0), "MP3")
BUNDLE = "asr-0123456789ab"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), workers=1) as service:
        write_tiny_recogniser(service.home, BUNDLE, tiny_recogniser(tmp_path_factory.mktemp("vocabulary")))
        publish(service.home, BUNDLE)
        until(lambda: service.get("/readyz").ok, "readiness")
        yield service


@pytest.fixture
def client(service: Service) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.base}/v1", api_key="none is needed", max_retries=0)


def ask(service: Service, data: bytes = SPEECH) -> str:
    response = requests.post(service.base + "/api/transcribe", files={"file": ("a", data)}, timeout=300)
    assert response.status_code == 200, response.text
    return str(response.json()["text"])


def test_openais_client_in_every_format(service: Service, client: openai.OpenAI) -> None:
    said = ask(service)
    create = client.audio.transcriptions.create
    file = ("speech.mp3", SPEECH, "audio/mpeg")
    assert create(file=file, model="whisper-1").text == said
    assert create(file=io.BytesIO(SPEECH), model=BUNDLE, prompt="Пациент", temperature=0, language="ru").text == said
    assert create(file=file, model="asr", response_format="text") == said + "\n"
    assert " --> " in create(file=file, model="asr", response_format="srt")
    assert create(file=file, model="asr", response_format="vtt").startswith("WEBVTT")
    verbose = create(
        file=file, model="asr", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert (verbose.text, verbose.language) == (said, "russian")
    assert verbose.duration > 7
    assert verbose.words is not None
    assert verbose.segments is not None
    assert " ".join(word.word for word in verbose.words) == said
    assert " ".join(segment.text for segment in verbose.segments) == said
    assert all(segment.avg_logprob < 0 for segment in verbose.segments)
    assert [model.id for model in client.models.list()] == [BUNDLE, "asr", "whisper-1"]
    assert client.models.retrieve("whisper-1").owned_by == "vnyatno"


def test_openais_client_reads_a_stream(service: Service, client: openai.OpenAI) -> None:
    create = client.audio.transcriptions.create
    *deltas, last = list(create(file=("speech.mp3", SPEECH), model="asr", stream=True))
    assert last.type == "transcript.text.done"
    assert (
        "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == last.text == ask(service)
    )
    with pytest.raises(openai.UnprocessableEntityError) as silent:
        create(file=("a.wav", encoded(np.zeros(16_000, np.float32))), model="asr", stream=True)
    assert silent.value.code == "silent"


def test_openais_client_understands_failures(client: openai.OpenAI) -> None:
    create = client.audio.transcriptions.create
    with pytest.raises(openai.NotFoundError) as missing:
        create(file=("a.mp3", SPEECH), model="whisper-2")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as format_:
        create(file=("a.mp3", SPEECH), model="asr", response_format="diarized_json")
    assert format_.value.param == "response_format"
    with pytest.raises(openai.UnprocessableEntityError) as silent:
        create(file=("a.wav", encoded(np.zeros(16_000, np.float32))), model="asr")
    assert (silent.value.code, silent.value.param) == ("silent", "file")
    with pytest.raises(openai.APIStatusError) as large:
        create(file=("a.wav", bytes(3_000_000)), model="asr")
    assert (large.value.status_code, large.value.code) == (413, "too_large")


def require_curl() -> str:
    """curl's path; `make test-all` installs it."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    return curl


def test_curl_with_json(service: Service, tmp_path: Path) -> None:
    curl = require_curl()
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"file": base64.b64encode(SPEECH).decode()}))
    command = [curl, "-sS", "-H", "Content-Type: application/json", "--data", f"@{body}"]
    answer = subprocess.run([*command, f"{service.base}/api/transcribe"], capture_output=True, check=True)
    assert json.loads(answer.stdout)["text"] == ask(service)
    chunked = [*command, "-H", "Transfer-Encoding: chunked", f"{service.base}/api/transcribe"]
    assert json.loads(subprocess.run(chunked, capture_output=True, check=True).stdout)["text"] == ask(service)
    body.write_text(json.dumps({"file": "A" * 4_000_000}))
    for way in ([], ["-H", "Transfer-Encoding: chunked"]):
        refused = subprocess.run(
            [*command, *way, "-w", "%{http_code}", f"{service.base}/api/transcribe"], capture_output=True, check=True
        )
        assert refused.stdout.endswith(b"413"), refused


def test_what_the_web_application_tells_people_to_copy(service: Service, tmp_path: Path) -> None:
    require_curl()
    (tmp_path / "recording.wav").write_bytes(SPEECH)
    said = ask(service)
    script = "set -e\n" + snippets.curl_transcription(service.base)
    told = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    form, end = json.JSONDecoder().raw_decode(told)
    inside, rest = json.JSONDecoder().raw_decode(told, end)
    assert form["text"] == inside["text"] == said
    assert " ".join(word["word"] for word in form["words"]) == said
    assert told[rest:].startswith("1\n00:00:0")
    program = [sys.executable, "-c", snippets.openai_transcription(service.base)]
    printed = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert printed == said + "\n"


def test_a_long_transcription_keeps_nobody_waiting_and_ends_with_its_client(service: Service) -> None:
    write_tiny_bundle(service.home, "tiny-1")
    publish(service.home, "tiny-1")
    until(lambda: service.workers_serving("tiny-1") == 1, "the defects' model")
    long = encoded(np.tile(np.concatenate([babble(120, 4.0, seed) for seed in range(2)]), 4), "MP3")
    before = service.figure("vnyatno_transcribed_seconds_total")
    response = threading.Thread(
        target=lambda: requests.post(
            service.base + "/api/transcribe", files={"file": ("a.mp3", long)}, timeout=120
        ).raise_for_status()
    )
    response.start()
    time.sleep(0.3)
    assert service.predict().status_code == 200
    response.join()
    assert service.figure("vnyatno_transcribed_seconds_total") - before == pytest.approx(248, abs=1)
    with pytest.raises(requests.Timeout):
        requests.post(service.base + "/api/transcribe", files={"file": ("a.mp3", long)}, timeout=(5, 0.2))
    until(lambda: service.figure("vnyatno_predictions_in_progress") == 0, "the end of what nobody waits for")


def test_a_new_recogniser_is_taken_up_and_a_broken_one_is_not(service: Service) -> None:
    write_tiny_recogniser(service.home, "asr-aaaaaaaaaaaa", tiny_lasr(seed=3))
    publish(service.home, "asr-aaaaaaaaaaaa")
    until(lambda: service.workers_serving("asr-aaaaaaaaaaaa") == 1, "the new recogniser")
    assert service.get("/api/model?recipe=asr").json()["bundle"] == "asr-aaaaaaaaaaaa"
    (service.home.serving / "asr.yaml").write_text("current: asr-nowhere\n")
    until(lambda: service.get("/api/health").json()["status"] == "degraded", "the refusal")
    assert ask(service) is not None
    health = service.get("/api/health").json()["recipes"]
    assert "no bundle at" in health["asr"]["refused"]["reason"]
    assert health["defects"]["refused"] is None
    rolled = requests.post(service.base + "/api/model/rollback?recipe=asr", timeout=30)
    assert (rolled.status_code, rolled.json()["code"]) == (409, "no_previous")
    publish(service.home, BUNDLE)
    until(lambda: service.workers_serving(BUNDLE) == 1, "the recogniser before")

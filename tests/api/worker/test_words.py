"""Words that Whisper hears for the service: where they come from, what they cost, and what stands in their way."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.intake.problems import Problem
from api.settings import ServiceSettings
from api.worker.words import Whisper
from speech.hardware.devices import Device
from speech.home import weights_folder
from speech.whisper import hearer
from speech.whisper.backend import TranscriberError, WhisperOptions
from speech.whisper.transcript import WhisperTranscript, Word
from speech.whisper.weights import OFFLINE_FOLDER
from tests.api.conftest import SETTINGS
from tests.api.test_app import SPEECH, require_problem
from tests.recordings import hum

FOREST = Path(__file__).parents[2] / "speech" / "sounds" / "forest.ogg"
HEARD = (Word("Дорога", 0.1, 0.5, 0.9), Word("лес", 0.6, 1.2, 0.8))


def transcript(*heard: Word, no_speech: float = 0.1) -> WhisperTranscript:
    return WhisperTranscript(" ".join(word.text for word in heard), heard, "ru", no_speech, 1.0, -0.3)


class Scripted:
    """Says what it is told to, and notes how it was loaded and how many transcribe at once."""

    device: Device = "cpu"

    def __init__(self, said: WhisperTranscript, seconds: float = 0.0) -> None:
        self.said, self.seconds = said, seconds
        self.loads: list[WhisperOptions] = []
        self.threads: set[str] = set()
        self.at_once = self.most_at_once = 0

    def __call__(self, options: WhisperOptions) -> Scripted:
        self.loads.append(options)
        return self

    def transcribe(self, samples: np.ndarray) -> WhisperTranscript:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds)
        self.at_once -= 1
        return self.said


@pytest.fixture
def scripted(app: FastAPI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scripted]:
    """Whisper with weights that are there, and answers by script."""
    monkeypatch.setenv("VNYATNO_WEIGHTS", str(tmp_path))
    (tmp_path / OFFLINE_FOLDER).mkdir()
    for name in ("model.bin", "tokenizer.json"):
        (tmp_path / OFFLINE_FOLDER / name).touch()
    script = Scripted(transcript(*HEARD))
    with closing(Whisper(SETTINGS, load=script)) as whisper:
        monkeypatch.setattr(app.state.engine, "_whisper", whisper)
        yield script


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No weights, and no way to fetch any: whoever asks for an address is found out."""
    monkeypatch.setenv("VNYATNO_WEIGHTS", str(tmp_path / "none"))

    def refuse(*_: object) -> Any:
        raise AssertionError("the service went to the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def send(client: TestClient, data: bytes = SPEECH, **form: str) -> Any:
    return client.post("/api/predict", files={"file": ("a.mp3", data, "audio/mpeg")}, data=form)


def test_places_carry_the_words_that_whisper_heard(client: TestClient, scripted: Scripted) -> None:
    answer = send(client, words="true").json()
    assert answer["words"] == [
        {"text": "Дорога", "start": 0.1, "end": 0.5},
        {"text": "лес", "start": 0.6, "end": 1.2},
    ]
    assert answer["words_from"] == "whisper"
    assert answer["places"]
    for place in answer["places"]:
        touched = [i for i, w in enumerate(HEARD) if w.start < place["end"] and place["start"] < w.end]
        assert touched == place["words"] or (not touched and place["words"])


def test_whisper_is_loaded_once_and_only_when_asked(client: TestClient, scripted: Scripted) -> None:
    for form in ({}, {"words": "false"}, {"words": ""}):
        answer = send(client, **form).json()
        assert (answer["words"], answer["words_from"]) == (None, None)
    assert scripted.loads == []
    for _ in range(3):
        assert send(client, words="true").status_code == 200
    (options,) = scripted.loads
    assert (options.backend, options.model, options.language) == ("faster-whisper", "base", "ru")
    assert (options.device, options.threads) == ("cpu", 1)
    assert scripted.threads == {"vnyatno-whisper-0"}  # off the event loop


def test_a_service_that_is_not_asked_never_imports_whisper() -> None:
    code = "import sys, api.worker.words; print(*{'faster_whisper', 'ctranslate2', 'whisper'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_whisper_that_takes_too_long_is_503(
    client: TestClient, app: FastAPI, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.engine, "_settings", SETTINGS.model_copy(update={"request_seconds": 0.5}))
    scripted.seconds = 2.0
    require_problem(send(client, words="true"), 503, "timeout")


def test_recordings_take_turns(scripted: Scripted) -> None:
    scripted.seconds = 0.05
    with closing(Whisper(SETTINGS, load=scripted)) as whisper:

        async def scenario() -> list[Any]:
            return await asyncio.gather(*(whisper.words(hum(1.0), "ru") for _ in range(5)))

        assert len(asyncio.run(scenario())) == 5
    assert scripted.most_at_once == 1
    assert len(scripted.loads) == 1


def test_another_language_is_loaded_anew(scripted: Scripted, tmp_path: Path) -> None:
    english = tmp_path / "other.yaml"
    russian = Path(__file__).parents[3] / "configs" / "languages" / "ru.yaml"
    english.write_text(russian.read_text(encoding="utf-8").replace("code: ru", "code: en"), encoding="utf-8")
    with closing(Whisper(SETTINGS, load=scripted)) as whisper:
        for language in ("ru", str(english), str(english), "ru"):
            asyncio.run(whisper.words(hum(1.0), language))
    assert [options.language for options in scripted.loads] == ["ru", "en", "ru"]


@pytest.mark.parametrize(
    "said",
    [
        transcript(),
        transcript(*HEARD, no_speech=0.95),
        transcript(Word("Продолжение", 0.1, 0.5, 0.9), Word("следует", 0.5, 0.9, 0.9)),
    ],
    ids=["nothing", "no speech", "an invented phrase"],
)
def test_what_whisper_invents_is_no_word(client: TestClient, scripted: Scripted, said: WhisperTranscript) -> None:
    scripted.said = said
    answer = send(client, words="true").json()
    assert (answer["words"], answer["words_from"]) == ([], "whisper")
    assert all(place["words"] == [] for place in answer["places"])


@pytest.mark.usefixtures("no_weights")
def test_a_text_wins_and_needs_no_whisper(spelling_client: TestClient) -> None:
    answer = send(spelling_client, words="true", text="Карл у Клары").json()
    assert [word["text"] for word in answer["words"]] == ["Карл", "у", "Клары"]
    assert answer["words_from"] == "text"


@pytest.mark.usefixtures("no_weights")
def test_without_weights_it_is_501_and_nothing_is_fetched(client: TestClient) -> None:
    response = send(client, words="true")
    require_problem(response, 501, "no_whisper")
    assert "make setup" in response.json()["detail"]
    assert send(client).status_code == 200


def test_weights_that_come_later_are_taken(client: TestClient, scripted: Scripted) -> None:
    tokenizer = weights_folder() / OFFLINE_FOLDER / "tokenizer.json"
    tokenizer.unlink()  # the library would fetch it
    require_problem(send(client, words="true"), 501, "no_whisper")
    assert scripted.loads == []
    tokenizer.touch()
    assert send(client, words="true").status_code == 200


def test_without_the_package_it_is_501(client: TestClient, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearer, "PACKAGE", "faster_whisper_that_nobody_installed")
    response = send(client, words="true")
    require_problem(response, 501, "no_whisper")
    assert "not installed" in response.json()["detail"]
    assert scripted.loads == []


@pytest.mark.parametrize("fault", [TranscriberError("model base does not load: damaged"), ImportError("no libgomp")])
def test_a_whisper_that_does_not_load_is_501(scripted: Scripted, fault: Exception) -> None:
    def fail(_: WhisperOptions) -> Any:
        raise fault

    with closing(Whisper(SETTINGS, load=fail)) as whisper, pytest.raises(Problem, match=str(fault)) as caught:
        asyncio.run(whisper.words(hum(1.0), "ru"))
    assert (caught.value.status_code, caught.value.code) == (501, "no_whisper")


def test_a_name_that_is_not_here_is_not_looked_for_elsewhere(scripted: Scripted) -> None:
    for name in ("large-v3", "someone/whisper", str(weights_folder() / "nowhere")):
        settings = ServiceSettings(words_model=name)
        with closing(Whisper(settings, load=scripted)) as whisper, pytest.raises(Problem, match="words_model"):
            whisper.require()
    settings = ServiceSettings(words_model=str(weights_folder() / OFFLINE_FOLDER))
    with closing(Whisper(settings, load=scripted)) as whisper:
        whisper.require()


def test_words_that_are_neither_yes_nor_no_are_400(client: TestClient) -> None:
    require_problem(send(client, words="perhaps"), 400, "bad_request")


def test_real_words_of_a_real_recording(client: TestClient) -> None:
    assert (weights_folder() / OFFLINE_FOLDER).exists(), "the weights are missing; run `make setup`"
    answer = send(client, FOREST.read_bytes(), words="true").json()
    assert {"дорога", "через", "густой", "лес"} <= {word["text"].lower() for word in answer["words"]}
    assert answer["words_from"] == "whisper"
    edges = [edge for word in answer["words"] for edge in (word["start"], word["end"])]
    assert edges == sorted(edges)
    assert edges[-1] <= answer["duration"]
    assert all(set(place["words"]) <= set(range(len(answer["words"]))) for place in answer["places"])
    tone = send(client, words="true").json()
    assert tone["words"] == []  # a hum holds no word, whatever Whisper makes of it

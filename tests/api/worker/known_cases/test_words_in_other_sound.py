"""A recogniser that hears words in everything gives those of the speech alone, at their times."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from api.observe.metrics import Metrics
from api.observe.telemetry import Telemetry
from api.settings import ServiceSettings
from api.worker.recognition import Recognition
from speech.audio.decode import SAMPLE_RATE
from speech.bundles.recogniser import LoadedRecogniser
from speech.ctc.decoding import SpokenWord
from speech.home import Home
from speech.serving.pointer import publish
from tests.long import joined, sentence
from tests.recognisers import peaked, tiny_recogniser, write_tiny_recogniser
from tests.recordings import encoded
from tests.speech.audio.known_cases.sounds import NO_SPEECH, plucked_strings

BESIDE = 0.5  # seconds: the margin, and a word that begins or ends within it


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(Path(tmp_path_factory.mktemp("home")))
    write_tiny_recogniser(home, "asr-1", tiny_recogniser(tmp_path_factory.mktemp("vocabulary")))
    publish(home, "asr-1")
    return home


@pytest.fixture
def heard() -> list[np.ndarray]:
    """The windows that the model was given."""
    return []


@pytest.fixture
def recognition(home: Home, heard: list[np.ndarray]) -> Iterator[Recognition]:
    async def inventive(bundle: LoadedRecogniser, samples: np.ndarray) -> np.ndarray:
        heard.append(samples)
        letters = bundle.recogniser
        frames = np.arange(len(samples) // letters.frame_samples - 1) % 8
        return peaked(np.array([3, 0, 4, 0, 5, 0, 1, 0])[frames].tolist(), letters.vocabulary_size)

    settings = ServiceSettings(decoders=1, threads=1, min_speech_seconds=0.25, transcribe_seconds=60.0)
    metrics = Metrics(CollectorRegistry())
    made = Recognition(settings, home, metrics, Telemetry(settings, home, metrics), "cpu", inventive)
    made.loader.look()
    yield made
    made.close()


def words(recognition: Recognition, samples: np.ndarray, tell: list[str] | None = None) -> tuple[SpokenWord, ...]:
    with tempfile.TemporaryFile() as file:
        file.write(encoded(samples))
        file.seek(0)
        told = None if tell is None else tell.extend
        return asyncio.run(recognition.transcribe(file, tell=told)).transcript.words


@pytest.mark.parametrize("name", NO_SPEECH)
def test_other_sound_gives_no_words(recognition: Recognition, name: str) -> None:
    other = NO_SPEECH[name]
    parts = [other, sentence("city"), other, sentence("forest"), other]
    ends = np.cumsum([len(part) for part in parts]) / SAMPLE_RATE
    told: list[str] = []
    found = words(recognition, np.concatenate(parts), told)
    left = found
    for start, end in ((ends[0], ends[1]), (ends[2], ends[3])):
        assert sum(start < word.start and word.end < end for word in found) > 10
        left = tuple(word for word in left if word.end < start - BESIDE or word.start > end + BESIDE)
    assert left == ()
    assert told == [word.text for word in found][: len(told)]


def test_music_of_many_windows_gives_no_words(recognition: Recognition) -> None:
    music = np.concatenate([plucked_strings()] * 9)
    found = words(recognition, np.concatenate([sentence(), music, sentence("forest")]))
    middle = [word for word in found if 4.0 < word.start < (len(sentence()) + len(music)) / SAMPLE_RATE - 1.0]
    assert middle == []
    assert found[-1].end > (len(sentence()) + len(music)) / SAMPLE_RATE + 1.0


def test_speech_with_pauses_reaches_the_model_as_it_is(recognition: Recognition, heard: list[np.ndarray]) -> None:
    samples = joined(1.0, "city", 3.0, "forest", 2.0)
    words(recognition, samples)
    (window,) = heard
    np.testing.assert_allclose(window, samples, atol=1e-4)

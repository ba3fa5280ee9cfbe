"""A recording's windows on their way to the model: few at once, patient once begun, and given up with their asker."""

from __future__ import annotations

import asyncio
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from api.intake.problems import Problem
from api.observe.metrics import Metrics
from api.observe.telemetry import Telemetry
from api.settings import ServiceSettings
from api.worker.model_queue import QueueFull
from api.worker.recognition import AT_ONCE, Recognition, Submit
from speech.audio.decode import AudioLimits, decode
from speech.bundles.recogniser import LoadedRecogniser
from speech.ctc.transcription import transcribe, windows
from speech.home import Home
from speech.longform.cutter import Cutter
from speech.longform.overlap_windows import WINDOW_SECONDS
from speech.serving.pointer import publish
from tests.recognisers import peaked, tiny_recogniser, write_tiny_recogniser
from tests.recordings import babble, encoded

LONG = encoded(np.concatenate([babble(60, 4.0, seed) for seed in range(5)]))
Made = Callable[..., Recognition]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(Path(tmp_path_factory.mktemp("home")))
    write_tiny_recogniser(home, "asr-1", tiny_recogniser(tmp_path_factory.mktemp("vocabulary")))
    publish(home, "asr-1")
    return home


@pytest.fixture
def made(home: Home) -> Iterator[Made]:
    """Makes one with a stand-in for the queue before the model."""
    open_: list[Recognition] = []

    def make(submit: Submit, **settings: float) -> Recognition:
        wanted = ServiceSettings(decoders=1, threads=1, **settings)
        metrics = Metrics(CollectorRegistry())
        recognition = Recognition(wanted, home, metrics, Telemetry(wanted, home, metrics), "cpu", submit)
        open_.append(recognition)
        recognition.loader.look()
        return recognition

    yield make
    for recognition in open_:
        recognition.close()


@pytest.fixture
def file() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(LONG)
        file.seek(0)
        yield file


async def heard(bundle: LoadedRecogniser, samples: np.ndarray) -> np.ndarray:
    (emissions,) = bundle.recogniser.emissions([samples])
    return emissions


def test_windows_wait_a_few_at_once_and_none_is_lost_where_the_queue_is_full(made: Made, file: IO[bytes]) -> None:
    asked, inside, most = 0, 0, 0
    together = asyncio.Event()

    async def crowded(bundle: LoadedRecogniser, samples: np.ndarray) -> np.ndarray:
        nonlocal asked, inside, most
        asked += 1
        if asked % 3 == 0:
            raise QueueFull(1)
        inside, most = inside + 1, max(most, inside + 1)
        if inside == AT_ONCE:
            together.set()
        await together.wait()
        await asyncio.sleep(0.05)  # in which one too many would come
        inside -= 1
        return await heard(bundle, samples)

    recognition = made(crowded, transcribe_seconds=60.0)
    found = asyncio.run(recognition.transcribe(file)).transcript
    sound = decode(LONG, AudioLimits(max_seconds=120)).samples
    assert len(windows(len(sound))) > 4
    assert asked > len(windows(len(sound)))
    assert most == AT_ONCE
    (expected,) = transcribe(recognition.serving().bundle.recogniser, [sound])
    assert found.words == expected.words
    assert found.words[-1].end > 3 * WINDOW_SECONDS


def test_words_are_told_as_windows_come_and_no_windows_emissions_are_kept(made: Made, file: IO[bytes]) -> None:
    given: list[weakref.ref[np.ndarray]] = []
    kept, told = [], []

    async def remembered(bundle: LoadedRecogniser, samples: np.ndarray) -> np.ndarray:
        letters = bundle.recogniser
        path = np.resize([3, 0, 4, 0, 5, 0, 1, 0], len(samples) // letters.frame_samples - 1)  # words of three letters
        emissions = peaked(path.tolist(), letters.vocabulary_size)
        given.append(weakref.ref(emissions))
        kept.append(sum(each() is not None for each in given))
        return emissions

    def tell(words: list[str]) -> None:
        told.append((len(given), words))

    found = asyncio.run(made(remembered, transcribe_seconds=60.0).transcribe(file, tell=tell)).transcript
    assert len(given) > 4
    assert max(kept) <= AT_ONCE + 2  # those in the queue, and two that are being joined
    words = [word for _, some in told for word in some]
    assert words == [word.text for word in found.words][: len(words)]
    assert len(words) > len(found.words) / 2
    assert told[0][0] < len(given)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(QueueFull(7), 503, "busy"), (FloatingPointError(), 422, "not_assessable"), (TimeoutError(), 503, "timeout")],
)
def test_what_fails_before_anything_was_heard_is_said(
    made: Made, file: IO[bytes], error: Exception, status: int, code: str
) -> None:
    async def failing(*_: object) -> np.ndarray:
        raise error

    with pytest.raises(Problem) as caught:
        asyncio.run(made(failing).transcribe(file))
    assert (caught.value.status_code, caught.value.code) == (status, code)
    if code == "busy":
        assert (caught.value.headers or {})["Retry-After"] == "7"


@pytest.mark.parametrize("way", ["time", "client"])
def test_whoever_waits_no_longer_leaves_nothing_waiting(made: Made, file: IO[bytes], way: str) -> None:
    begun = left = 0

    async def endless(*_: object) -> np.ndarray:
        nonlocal begun, left
        begun += 1
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            left += 1

    async def ask(recognition: Recognition) -> None:
        asking: Awaitable[object] = recognition.transcribe(file)
        if way == "client":
            task = asyncio.ensure_future(asking)
            async with asyncio.timeout(60):
                while begun < AT_ONCE:
                    await asyncio.sleep(0.01)
            task.cancel()
            asking = task
        await asking

    recognition = made(endless, transcribe_seconds=60.0 if way == "client" else 4.0)
    with Cutter(file, server=recognition._server) as warm:  # decoders begin at once from now on
        next(iter(warm))
    file.seek(0)
    with pytest.raises(asyncio.CancelledError if way == "client" else Problem) as caught:
        asyncio.run(ask(recognition))
    assert way == "client" or getattr(caught.value, "code", None) == "timeout"
    assert left == AT_ONCE

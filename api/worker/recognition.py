"""A recording becomes text.

It is cut into windows while it is decoded. The model hears the windows one after the other, and each is joined to those
before it as soon as it was heard: what is kept of a recording is its words.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

import numpy as np

from api.intake.languages import language_name
from api.intake.problems import Problem
from api.observe.metrics import Metrics
from api.observe.requests import stage
from api.observe.telemetry import Telemetry
from api.schemas.predict import Caution, RecogniserCard
from api.settings import ServiceSettings
from api.threads import Threads
from api.worker import cards
from api.worker.loader import Loader, Serving
from api.worker.model_queue import QueueFull
from api.worker.recipes import ASR, in_service
from api.worker.refusals import as_problems
from speech.audio.decode import SAMPLE_RATE
from speech.audio.quality import loss_cautions
from speech.audio.speech_guard import has_speech, no_speech
from speech.bundles.recogniser import LoadedRecogniser
from speech.ctc.decoding import Transcript
from speech.ctc.transcription import WindowDecoder
from speech.home import Home
from speech.longform.cutter import Cutter, Listening, LongLimits, Window, hearing_server
from speech.longform.overlap_windows import OVERLAP_SECONDS, WINDOW_SECONDS
from speech.process.fork_server import ForkServer

AT_ONCE = 2  # windows of one recording that wait or are computed: hours of speech must not keep others waiting
_AGAIN_SECONDS = 0.2  # until a window is offered again to a queue that was full

Submit = Callable[[LoadedRecogniser, np.ndarray], Awaitable[np.ndarray]]
Tell = Callable[[list[str]], None]


@dataclass(frozen=True)
class RecognitionResult:
    """What was said, the bundle that heard it, and what is to be said of the recording."""

    bundle: LoadedRecogniser
    transcript: Transcript
    warnings: tuple[Caution, ...] = ()


class Recognition:
    """A worker's half that turns speech into text. It shares the model's threads with the half that diagnoses."""

    def __init__(
        self, settings: ServiceSettings, home: Home, metrics: Metrics, telemetry: Telemetry, device: str, submit: Submit
    ) -> None:
        """`submit` gives the log probabilities of a window, in its turn."""
        self.loader: Loader[LoadedRecogniser] = Loader(ASR, home, metrics, device, settings.poll_seconds)
        self._settings = settings
        self._metrics = metrics
        self._telemetry = telemetry
        self._submit = submit
        self._server = hearing_server()
        self._threads = Threads(settings.transcriptions, "listener")

    def close(self) -> None:
        """Stop following the pointer, and end the threads and the decoders."""
        self.loader.close()
        self._threads.close()
        self._server.close()

    def serving(self) -> Serving[LoadedRecogniser]:
        """The bundle in service. Raises `Problem` 503 where there is none."""
        return in_service(self.loader)

    def card(self) -> RecogniserCard:
        """The bundle in service, for people. Raises `Problem` 503 where there is none."""
        settings = self._settings
        return cards.recogniser_card(
            self.loader, self.serving(), settings.transcribe_max_seconds, settings.max_upload_bytes
        )

    async def transcribe(
        self,
        file: IO[bytes],
        language: str | None = None,
        tell: Tell | None = None,
        *,
        empty_without_speech: bool = False,
    ) -> RecognitionResult:
        """The text of a recording in an open file that has a descriptor.

        `language` is what the sender says is spoken. `tell` is given the text's words as soon as they are certain and
        somebody is sure to speak, but for the last ones. Raises `Problem` for whatever stands in the way, `no_speech`
        among it unless the text is to be `empty_without_speech`.
        """
        bundle = self.serving().bundle
        if language:
            _require_language(bundle, language)
        with as_problems(bundle.id, "file"), self._metrics.in_progress():
            async with asyncio.timeout(self._settings.transcribe_seconds):
                hearing = await self._threads.run(partial(_Hearing, file, self._limits(bundle), self._server))
                try:
                    transcript = await self._read(bundle, hearing, tell)
                    if not hearing.has_speech(self._settings.min_speech_seconds):
                        if not empty_without_speech:
                            raise no_speech()
                        transcript = replace(transcript, text="", words=())
                finally:
                    hearing.interrupt()
                    self._threads.submit(hearing.close)
        self._telemetry.transcribed(bundle, transcript)
        return RecognitionResult(bundle, transcript, hearing.warnings)

    async def _read(self, bundle: LoadedRecogniser, hearing: _Hearing, tell: Tell | None) -> Transcript:
        """Have the model hear all windows, `AT_ONCE` of them at once, and read the text of the whole."""
        decoder = WindowDecoder(bundle.recogniser)
        certain: list[str] = []  # words that wait until it is sure that somebody speaks
        spoken = 0.0
        flying: deque[tuple[Window, asyncio.Task[np.ndarray]]] = deque()  # a window, its emissions
        end: int | None = None

        async def read_one() -> None:
            window, task = flying[0]
            emissions = await task
            flying.popleft()
            first = round(window.start * SAMPLE_RATE)
            with stage("text"):
                words = await self._threads.run(partial(decoder.add, emissions, first, window.silenced))
            certain.extend(words)
            if tell is not None and certain and spoken >= self._settings.min_speech_seconds:
                tell(certain.copy())
                certain.clear()

        try:
            while (window := await self._next(hearing)) is not None:
                spoken += window.speech_seconds
                if len(flying) == AT_ONCE:
                    await read_one()
                task = asyncio.create_task(self._emissions(bundle, window.samples, patient=end is not None))
                flying.append((window, task))
                end = round(window.start * SAMPLE_RATE) + len(window.samples)
            while flying:
                await read_one()
        finally:
            for _, task in flying:
                task.cancel()
            await asyncio.gather(*(task for _, task in flying), return_exceptions=True)
        with stage("text"):
            return await self._threads.run(partial(decoder.finish, (end or 0) / SAMPLE_RATE))

    async def _next(self, hearing: _Hearing) -> Window | None:
        """The next window; None after the last."""
        with stage("decode"):
            return await self._threads.run(hearing.next)

    async def _emissions(self, bundle: LoadedRecogniser, samples: np.ndarray, patient: bool) -> np.ndarray:
        """Log probabilities (frames, vocabulary) of a window.

        Where the queue is full, a `patient` window is offered again until it is taken. Another one, the first of its
        recording, raises `QueueFull`.
        """
        while True:
            try:
                return await self._submit(bundle, samples)
            except QueueFull:
                if not patient:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    def _limits(self, bundle: LoadedRecogniser) -> LongLimits:
        settings = self._settings
        return LongLimits(
            max_bytes=settings.max_upload_bytes,
            max_seconds=settings.transcribe_max_seconds,
            min_seconds=bundle.config.audio.min_seconds,
            max_window_seconds=WINDOW_SECONDS,
            min_rate=settings.min_sample_rate,
            max_rate=settings.max_sample_rate,
            max_channels=settings.max_channels,
            measure_speech=settings.min_speech_seconds > 0,
            stall_seconds=settings.decode_seconds,
        )


class _Hearing:
    """A recording's windows. They are asked for one at a time, from any thread."""

    def __init__(self, file: IO[bytes], limits: LongLimits, server: ForkServer) -> None:
        """Raises `AudioError`, OSError."""
        listening = Listening(window_seconds=WINDOW_SECONDS)
        self._cutter = Cutter(file, listening, limits, server=server, overlap_seconds=OVERLAP_SECONDS)
        self._windows = iter(self._cutter)
        self._lock = threading.Lock()

    def next(self) -> Window | None:
        """The next window, None after the last. Raises `AudioError`, OSError."""
        with self._lock:
            return next(self._windows, None)

    def has_speech(self, least_seconds: float) -> bool:
        """Whether somebody speaks in it, once all its windows were given."""
        summary = self._cutter.summary
        return has_speech(sum(summary.speech_seconds.values()), summary.seconds, least_seconds)

    @property
    def warnings(self) -> tuple[Caution, ...]:
        """What is to be said of the recording, once all its windows were given."""
        summary = self._cutter.summary
        return tuple(Caution(**vars(one)) for one in loss_cautions(summary.cut_short, summary.damaged))

    def interrupt(self) -> None:
        """Wake whoever waits for a window: it gets none."""
        self._cutter.interrupt()

    def close(self) -> None:
        """End the cutting and what decodes for it."""
        with self._lock, suppress(OSError, ValueError):
            self._cutter.close()


def _require_language(bundle: LoadedRecogniser, language: str) -> None:
    """Raise `Problem` 422 for a language that the bundle does not understand."""
    spoken = bundle.config.language
    if language.strip().lower().replace("_", "-").partition("-")[0] not in (spoken, language_name(spoken)):
        detail = f"{bundle.id} understands {spoken}, not {language[:40]!r}; leave it out, or send {spoken}"
        raise Problem(422, "language_not_understood", detail, field="language")

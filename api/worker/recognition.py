"""A recording becomes text.

It is cut into windows while it is decoded. The model hears the windows one after the other, and the text is read from
all of them joined.
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
from speech.ctc.decoding import Transcript, decode
from speech.ctc.transcription import join
from speech.home import Home
from speech.longform.cutter import Cutter, Listening, LongLimits, Window, hearing_server
from speech.longform.overlap_windows import OVERLAP_SECONDS, WINDOW_SECONDS
from speech.process.fork_server import ForkServer

AT_ONCE = 2  # windows of one recording that wait or are computed: hours of speech must not keep others waiting
_AGAIN_SECONDS = 0.2  # until a window is offered again to a queue that was full

Submit = Callable[[LoadedRecogniser, np.ndarray], Awaitable[np.ndarray]]


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
        self, file: IO[bytes], language: str | None = None, empty_without_speech: bool = False
    ) -> RecognitionResult:
        """The text of a recording in an open file that has a descriptor.

        `language` is what the sender says is spoken. Raises `Problem` for whatever stands in the way, `no_speech` among
        it unless the text is to be `empty_without_speech`.
        """
        bundle = self.serving().bundle
        if language:
            _require_language(bundle, language)
        with as_problems(bundle.id, "file"), self._metrics.in_progress():
            async with asyncio.timeout(self._settings.transcribe_seconds):
                hearing = await self._threads.run(partial(_Hearing, file, self._limits(bundle), self._server))
                try:
                    transcript = await self._read(bundle, hearing)
                    if not hearing.has_speech(self._settings.min_speech_seconds):
                        if not empty_without_speech:
                            raise no_speech()
                        transcript = replace(transcript, text="", words=())
                finally:
                    hearing.interrupt()
                    self._threads.submit(hearing.close)
        self._telemetry.transcribed(bundle, transcript)
        return RecognitionResult(bundle, transcript, hearing.warnings)

    async def _read(self, bundle: LoadedRecogniser, hearing: _Hearing) -> Transcript:
        """Have the model hear all windows, `AT_ONCE` of them at once, and read the text of the whole."""
        parts: list[np.ndarray] = []
        ranges: list[tuple[int, int]] = []
        flying: deque[asyncio.Task[np.ndarray]] = deque()
        try:
            while (window := await self._next(hearing)) is not None:
                first = round(window.start * SAMPLE_RATE)
                if len(flying) == AT_ONCE:
                    parts.append(await flying.popleft())
                flying.append(asyncio.create_task(self._emissions(bundle, window.samples, patient=bool(ranges))))
                ranges.append((first, first + len(window.samples)))
            while flying:
                parts.append(await flying.popleft())
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
        with stage("text"):
            return await self._threads.run(partial(_text, bundle, parts, ranges))

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


def _text(bundle: LoadedRecogniser, parts: list[np.ndarray], ranges: list[tuple[int, int]]) -> Transcript:
    """The transcript of windows' log probabilities. `ranges`: first sample and the one after the last, by window."""
    emissions = join(parts, ranges, bundle.recogniser)
    return decode(emissions, bundle.recogniser, ranges[-1][1] / SAMPLE_RATE)


def _require_language(bundle: LoadedRecogniser, language: str) -> None:
    """Raise `Problem` 422 for a language that the bundle does not understand."""
    spoken = bundle.config.language
    if language.strip().lower().replace("_", "-").partition("-")[0] not in (spoken, language_name(spoken)):
        detail = f"{bundle.id} understands {spoken}, not {language[:40]!r}; leave it out, or send {spoken}"
        raise Problem(422, "language_not_understood", detail, field="language")

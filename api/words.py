"""The words of a recording, heard by Whisper: loaded when they are first asked for, and never downloaded here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from api.problems import Problem
from api.requests import stage
from api.settings import ServiceSettings
from api.threads import Threads
from speech.alignment import TimedWord
from speech.audio import SAMPLE_RATE
from speech.language import Language, LanguageError, load_language
from speech.markers import ConfidenceGate, count_markers
from speech.transcribe import Transcriber, TranscriberError, WhisperOptions, load_transcriber
from speech.weights import FASTER_WHISPER, resolve

PACKAGE = "faster_whisper"
_FILES = ("model.bin", "tokenizer.json")  # without a tokenizer beside it, the library would fetch one


class Whisper:
    """One Whisper model on one thread, so that recordings take turns; it costs no memory before it is asked."""

    def __init__(
        self, settings: ServiceSettings, load: Callable[[WhisperOptions], Transcriber] = load_transcriber
    ) -> None:
        self._model, self._device, self._threads = settings.words_model, settings.device, settings.model_threads
        self._load = load
        self._loaded: tuple[str, Transcriber] | None = None  # and the language that it hears
        self._thread = Threads(1, "whisper")

    def require(self) -> None:
        """Raises `Problem` 501 where Whisper or its weights are not on this machine."""
        if importlib.util.find_spec(PACKAGE) is None:
            raise _no_whisper("Whisper is not installed; run `make setup` where the service runs")
        folder = Path(resolve(self._model, FASTER_WHISPER))
        if not all((folder / name).is_file() for name in _FILES):
            raise _no_whisper(
                f"the weights of Whisper {self._model!r} are not on this machine, and a service downloads none; run "
                "`make setup`, which fetches 'base', or set words_model in configs/service.yaml to the folder of a "
                "model in CTranslate2's form"
            )

    async def words(self, samples: np.ndarray, language: str) -> list[TimedWord]:
        """The words of mono float32 `samples` (n,) at 16 kHz, with their times.

        No word where Whisper's own measures say that it heard no speech or goes round in circles. `language` is a
        bundle's. Raises `Problem` 501 where Whisper does not load.
        """
        self.require()
        try:
            with stage("words"):
                return await self._thread.run(partial(self._hear, samples, language))
        except (TranscriberError, LanguageError, ImportError) as error:
            raise _no_whisper(f"Whisper cannot be used: {error}") from error

    def _hear(self, samples: np.ndarray, name: str) -> list[TimedWord]:
        language = load_language(name)
        transcript = self._transcriber(language).transcribe(samples)
        # Silence and noise make Whisper invent phrases: what training would not count is not said here either.
        if count_markers(transcript, len(samples) / SAMPLE_RATE, language, ConfidenceGate()).doubt is not None:
            return []
        return [TimedWord(word.text, word.start, word.end) for word in transcript.words]

    def _transcriber(self, language: Language) -> Transcriber:
        """The loaded model; loaded anew where the bundle in service now speaks another language."""
        if self._loaded is None or self._loaded[0] != language.code:
            self._loaded = None
            options = WhisperOptions(
                model=self._model, language=language.code, device=self._device, threads=self._threads
            )
            self._loaded = language.code, self._load(options)
        return self._loaded[1]


def _no_whisper(detail: str) -> Problem:
    return Problem(501, "no_whisper", detail)

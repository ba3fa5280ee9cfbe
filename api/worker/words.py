"""The words of a recording, heard by Whisper: loaded when they are first asked for, and never downloaded here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from api.intake.problems import Problem
from api.observe.requests import stage
from api.settings import ServiceSettings
from api.threads import Threads
from speech.text.alignment import TimedWord
from speech.text.language import LanguageError
from speech.whisper.backend import Transcriber, TranscriberError, WhisperOptions
from speech.whisper.hearer import Hearer, require_whisper
from speech.whisper.loading import load_transcriber


class Whisper:
    """One Whisper model on one thread, so that recordings take turns; it costs no memory before it is asked."""

    def __init__(
        self, settings: ServiceSettings, load: Callable[[WhisperOptions], Transcriber] = load_transcriber
    ) -> None:
        self._model = settings.words_model
        self._hearer = Hearer(settings.words_model, settings.device, settings.model_threads, load)
        self._thread = Threads(1, "whisper")

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def require(self) -> None:
        """Raises `Problem` 501 where Whisper or its weights are not on this machine."""
        try:
            require_whisper(self._model)
        except TranscriberError as error:
            raise no_whisper(error) from error

    async def words(self, samples: np.ndarray, language: str) -> list[TimedWord]:
        """As `speech.whisper.hearer.Hearer.words`. Raises `Problem` 501 where Whisper is not there or does not load."""
        self.require()
        try:
            with stage("words"):
                return await self._thread.run(partial(self._hearer.words, samples, language))
        except (TranscriberError, LanguageError, ImportError) as error:
            raise no_whisper(f"Whisper cannot be used: {error}") from error


def no_whisper(why: object) -> Problem:
    """The answer where words are asked for that nobody here can hear."""
    return Problem(501, "no_whisper", str(why))

"""The words of a stretch of speech, as far as Whisper is to be believed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from speech.audio.decode import SAMPLE_RATE
from speech.text.alignment import TimedWord
from speech.text.language import Language, load_language
from speech.whisper.backend import Transcriber, TranscriberError, WhisperOptions
from speech.whisper.loading import load_transcriber
from speech.whisper.markers import ConfidenceLimits, count_markers
from speech.whisper.speech_only import transcribe_speech
from speech.whisper.weights import FASTER_WHISPER, resolve

PACKAGE = "faster_whisper"
_FILES = ("model.bin", "tokenizer.json")  # without a tokenizer beside it, the library would fetch one


def require_whisper(model: str) -> None:
    """Raises `TranscriberError` where Whisper or the weights of `model`, a name or a folder, are not on this machine.
    Nothing is fetched."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise TranscriberError("Whisper is not installed; run `make setup` on the machine that is to hear words")
    folder = Path(resolve(model, FASTER_WHISPER))
    if not all((folder / name).is_file() for name in _FILES):
        raise TranscriberError(
            f"the weights of Whisper {model!r} are not on this machine, and nothing is downloaded for this; run "
            "`make setup`, which fetches 'base', or set words_model (configs/service.yaml; --words-model of the "
            "command) to the folder of a model in CTranslate2's form"
        )


class Hearer:
    """A Whisper model, loaded when it is first asked. Not thread-safe."""

    def __init__(
        self, model: str, device: str, threads: int, load: Callable[[WhisperOptions], Transcriber] = load_transcriber
    ) -> None:
        self._model, self._device, self._threads = model, device, threads
        self._load = load
        self._language: tuple[str, Language] | None = None  # as it was last asked for
        self._loaded: tuple[str, Transcriber] | None = None  # and the language that it hears

    def words(self, samples: np.ndarray, language: str) -> list[TimedWord]:
        """The words of mono float32 `samples` (n,) at 16 kHz, with their times in seconds; none where Whisper's own
        measures say that it heard no speech or goes round in circles. `language` is a bundle's.

        Raises `TranscriberError`, `LanguageError`, or ImportError where a library is missing.
        """
        if self._language is None or self._language[0] != language:
            self._language = language, load_language(language)
        known = self._language[1]
        transcript = transcribe_speech(self._transcriber(known), samples)
        # Silence and noise make Whisper invent phrases: what training would not count is not said here either.
        if count_markers(transcript, len(samples) / SAMPLE_RATE, known, ConfidenceLimits()).doubt is not None:
            return []
        return [TimedWord(word.text, word.start, word.end) for word in transcript.words]

    def _transcriber(self, language: Language) -> Transcriber:
        """The loaded model; loaded anew where another language is spoken now."""
        if self._loaded is None or self._loaded[0] != language.code:
            self._loaded = None
            options = WhisperOptions(
                model=self._model, language=language.code, device=self._device, threads=self._threads
            )
            self._loaded = language.code, self._load(options)
        return self._loaded[1]

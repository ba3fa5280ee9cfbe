"""What both back ends of Whisper share: the options, the form of a loaded model, and the errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from speech.hardware.card_faults import explained, of_card
from speech.hardware.devices import Device
from speech.whisper.transcript import WhisperTranscript
from speech.whisper.weights import BACKENDS, FASTER_WHISPER, OFFLINE_MODEL

DEVICES = ("auto", "cpu", "cuda")


class TranscriberError(RuntimeError):
    """A back end, model or device that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class WhisperOptions:
    """How speech is turned into text."""

    backend: str = FASTER_WHISPER
    """`faster-whisper` (CTranslate2, int8 on a CPU) or `openai-whisper` (PyTorch)."""
    model: str = OFFLINE_MODEL
    """A Whisper model's name, or a path: a CTranslate2 folder for faster-whisper, a checkpoint for openai-whisper."""
    language: str | None = "ru"
    """The language spoken, as an ISO 639-1 code; None to have it detected for each clip."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a card on which Whisper computes, else the processor."""
    compute_type: str = "auto"
    """`auto`: on a CPU int8 for faster-whisper and float32 for openai-whisper, on CUDA float16 if the card has it."""
    beam_size: int = 1
    """Hypotheses kept while decoding; 1 is greedy."""
    threads: int = 0
    """CPU threads; 0 for all cores."""
    initial_prompt: str | None = None
    """Text put before the first window, to suggest spelling or names."""
    whole_window: bool = False
    """Always give faster-whisper windows of 30 s; otherwise a short clip gets a short one, five times as fast."""
    spell_numbers: bool = True
    """Keep digits from being written: a marker letter in «три» is not to be seen in «3»."""

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise TranscriberError(f"backend {self.backend!r} is unknown; take one of {', '.join(BACKENDS)}")
        if self.device not in DEVICES:
            raise TranscriberError(f"device {self.device!r} is unknown; take one of {', '.join(DEVICES)}")
        if not self.model:
            raise TranscriberError("model is empty; name a Whisper model or give a path")
        if self.beam_size < 1:
            raise TranscriberError(f"beam_size is {self.beam_size}; at least 1 is needed")
        if self.threads < 0:
            raise TranscriberError(f"threads is {self.threads}; 0 stands for all cores")


class Transcriber(Protocol):
    """A loaded Whisper model."""

    @property
    def device(self) -> Device:
        """Where it computes."""
        ...

    def transcribe(self, samples: np.ndarray) -> WhisperTranscript:
        """Transcribe mono float32 samples (n,) at 16 kHz, full scale 1.0."""
        ...


@contextmanager
def card_explained(device: str) -> Iterator[None]:
    """What fails within on the card is a `TranscriberError` that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if device == "cuda" and of_card(error):
            raise TranscriberError(f"Whisper on the NVIDIA card: {explained(error)}") from error
        raise


def not_found(model: str, reason: object) -> TranscriberError:
    """The error for a name that is neither here nor to be downloaded."""
    return TranscriberError(
        f"Whisper model {model!r} is not on this machine and could not be downloaded; run `make setup`, which "
        f"fetches {OFFLINE_MODEL!r} from the package index, or give a path to a model. Reason: {reason}"
    )


def unknown_language(language: str | None, known: list[str]) -> TranscriberError:
    """The error for a language that the loaded model does not know."""
    return TranscriberError(f"language {language!r} is not one this model knows: {', '.join(known)}")

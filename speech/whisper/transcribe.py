"""Speech to text with word times: two Whisper back ends behind one function.

A `Transcriber` is given samples, never a path, so that the one decoder of `speech.audio.decode` serves here too and no
ffmpeg is needed. Decoding is deterministic: temperature 0 without fallback, no text carried from one window to the
next. Whether the result may be trusted is not decided here: it carries Whisper's own measures, `speech.whisper.markers`
judges them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from speech.audio.decode import SAMPLE_RATE
from speech.hardware.card_faults import CardFault, explained, of_card
from speech.hardware.cuda_libraries import missing_library
from speech.hardware.devices import Device, driver_runs, read_hardware, release_memory
from speech.whisper.weights import BACKENDS, FASTER_WHISPER, OFFLINE_MODEL, resolve

DEVICES = ("auto", "cpu", "cuda")
READING = 1  # raised when the same back end's answer is read differently, so that cached transcripts are made anew
_ON_CARD = ("float16", "int8", "float32")  # of CTranslate2's number formats, the best that a card has is taken
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")  # what Whisper's words carry around the letters: spaces, punctuation, dashes

_log = logging.getLogger(__name__)


class TranscriberError(RuntimeError):
    """A back end, model or device that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Word:
    """A word as heard: its text without surrounding punctuation, start and end in seconds, probability 0 to 1."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Transcript:
    """What Whisper heard in one clip.

    The measures are the worst over Whisper's segments: the highest probability that nobody speaks, the highest
    ratio of the text's length to its length when compressed (repetition), the lowest mean log-probability of a
    token. They are None where Whisper gave no segment at all.
    """

    text: str
    words: tuple[Word, ...]
    language: str
    no_speech_probability: float | None
    compression_ratio: float | None
    average_logprob: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Transcript:
        """Raises `KeyError`, `TypeError` or `ValueError` where `value` is not what `as_dict` gives."""
        measures = {name: value[name] for name in ("no_speech_probability", "compression_ratio", "average_logprob")}
        return cls(
            text=str(value["text"]),
            words=tuple(
                Word(str(word["text"]), float(word["start"]), float(word["end"]), float(word["probability"]))
                for word in value["words"]
            ),
            language=str(value["language"]),
            **{name: None if measure is None else float(measure) for name, measure in measures.items()},
        )


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

    def settled(self) -> dict[str, Any]:
        """Everything a transcript depends on but the weights, with `auto` decided for this machine. Keys caches.

        Whether a card computes shows when the model is loaded: a transcriber's `device` is what counts.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "threads"}
        device = settle_device(self)
        return {**values, "device": device, "compute_type": settle_compute_type(self, device), "reading": READING}


class Transcriber(Protocol):
    """A loaded Whisper model."""

    @property
    def device(self) -> Device:
        """Where it computes."""
        ...

    def transcribe(self, samples: np.ndarray) -> Transcript:
        """Transcribe mono float32 samples (n,) at 16 kHz, full scale 1.0."""
        ...


@dataclass(frozen=True)
class Segment:
    """A stretch of speech as either back end gives it, in one form."""

    text: str
    words: tuple[tuple[str, float, float, float], ...]
    no_speech_probability: float
    compression_ratio: float
    average_logprob: float


def settle_device(options: WhisperOptions) -> Device:
    """Where the options' back end computes, as far as can be told without a model. Raises `TranscriberError` where CUDA
    is asked for and not there."""
    missing = "" if options.device == "cpu" else _unseen(options.backend)
    if options.device == "cuda" and missing:
        raise TranscriberError(f"device is cuda, but {missing}; or take device: cpu or auto")
    return "cpu" if options.device == "cpu" or missing else "cuda"


def card_missing(backend: str) -> str:
    """What keeps a back end from a card, and what to do, before there is a model; empty where nothing is known to."""
    return _unseen(backend) or (missing_library() if backend == FASTER_WHISPER else "")


def _unseen(backend: str) -> str:
    """Why the back end sees no card, and what to do; empty where it sees one."""
    if backend != FASTER_WHISPER:
        return read_hardware().no_card
    import ctranslate2  # asks the driver alone, so that importing torch is not needed for it

    if ctranslate2.get_cuda_device_count() > 0:
        return ""
    try:  # not get_supported_compute_types, which answers the second time as if there were a card
        ctranslate2.StorageView.from_array(np.zeros(1, np.float32)).to_device(ctranslate2.Device.cuda)
    except (RuntimeError, ValueError) as error:
        return explained(error)
    return ""


def settle_compute_type(options: WhisperOptions, device: Device) -> str:
    """The number format to compute in. Raises `TranscriberError` for one that openai-whisper does not know."""
    if options.backend == FASTER_WHISPER:
        return _format(device) if options.compute_type == "auto" else options.compute_type
    known = ("float32", "float16") if device == "cuda" else ("float32",)
    chosen = options.compute_type
    if chosen == "auto":
        chosen = "float16" if device == "cuda" and read_hardware().cards[0].fp16 else "float32"
    if chosen not in known:
        raise TranscriberError(
            f"compute_type {chosen!r} is not for openai-whisper on {device}; take auto or {' or '.join(known)}"
        )
    return chosen


def _format(device: Device) -> str:
    if device == "cpu":
        return "int8"
    import ctranslate2

    offered = ctranslate2.get_supported_compute_types("cuda")
    return next(name for name in _ON_CARD if name in offered)  # every card has float32


def load_transcriber(options: WhisperOptions) -> Transcriber:
    """Load the model; on a card it has encoded a second of sound by then. With device `auto`, a warning says why a
    card is left alone.

    Raises `TranscriberError` where the model is not found, cannot be downloaded or does not load, and where the card
    that is asked for does not compute.
    """
    model = resolve(options.model, options.backend)
    if not Path(model).exists() and _means_a_path(options.model):
        raise TranscriberError(f"model {options.model}: there is no such file or folder")
    fault = ""
    if settle_device(options) == "cuda":
        try:
            return _loaded(model, options, "cuda")
        except CardFault as error:
            fault = str(error)
        release_memory()
        if options.device == "cuda":
            raise TranscriberError(f"device is cuda, but {fault}")
    elif options.device == "auto" and driver_runs():
        fault = _unseen(options.backend)
    if fault:
        _log.warning("Whisper computes on the processor and not on the NVIDIA card: %s", fault)
    return _loaded(model, options, "cpu")


def _loaded(model: str, options: WhisperOptions, device: Device) -> Transcriber:
    """Raises `CardFault` where the card is at fault, else `TranscriberError`."""
    compute_type = settle_compute_type(options, device)
    if options.backend == FASTER_WHISPER:
        from speech.whisper.faster import CTranslateWhisper

        return CTranslateWhisper(model, options, device, compute_type)
    from speech.whisper.openai import OpenAIWhisper

    return OpenAIWhisper(model, options, device, compute_type)


def _means_a_path(model: str) -> bool:
    # "owner/name" is a hub's model, so a slash alone does not make a path.
    return model.startswith(("/", "./", "../", "~")) or model.endswith((".pt", ".bin"))


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


def collect(segments: Iterable[Segment], language: str, samples: np.ndarray) -> Transcript:
    """One transcript of a clip's segments: clean words within the clip, the worst of each measure."""
    seconds = len(samples) / SAMPLE_RATE
    segments = list(segments)
    words = (clean_word(*word, seconds=seconds) for segment in segments for word in segment.words)
    return Transcript(
        text=" ".join(text for segment in segments if (text := segment.text.strip())),
        words=tuple(word for word in words if word is not None),
        language=language,
        no_speech_probability=max((segment.no_speech_probability for segment in segments), default=None),
        compression_ratio=max((segment.compression_ratio for segment in segments), default=None),
        average_logprob=min((segment.average_logprob for segment in segments), default=None),
    )


def clean_word(text: str, start: float, end: float, probability: float, seconds: float) -> Word | None:
    """A word without the punctuation around it and with times inside the clip; None where no letter or digit is left.

    Whisper pads a clip to 30 s and at times ends a word in the padding.
    """
    clean = _EDGES.sub("", text)
    if not clean:
        return None
    start = min(max(float(start), 0.0), seconds)  # the back ends give numpy's numbers, which JSON does not take
    end = min(max(float(end), start), seconds)
    return Word(clean, round(start, 3), round(end, 3), round(float(probability), 4))

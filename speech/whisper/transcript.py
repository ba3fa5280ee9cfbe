"""What Whisper hears, in one form whichever back end gave it.

Whether it may be trusted is not decided here: a transcript carries Whisper's own measures, `speech.whisper.markers`
judges them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from speech.audio.decode import SAMPLE_RATE

_EDGES = re.compile(r"^[\W_]+|[\W_]+$")  # what Whisper's words carry around the letters: spaces, punctuation, dashes


@dataclass(frozen=True)
class Word:
    """A word as heard: its text without surrounding punctuation, start and end in seconds, probability 0 to 1."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class WhisperTranscript:
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
    def from_dict(cls, value: dict[str, Any]) -> WhisperTranscript:
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
class Segment:
    """A stretch of speech as either back end gives it, in one form."""

    text: str
    words: tuple[tuple[str, float, float, float], ...]
    no_speech_probability: float
    compression_ratio: float
    average_logprob: float


def collect(segments: Iterable[Segment], language: str, samples: np.ndarray) -> WhisperTranscript:
    """One transcript of a clip's segments: clean words within the clip, the worst of each measure."""
    seconds = len(samples) / SAMPLE_RATE
    segments = list(segments)
    words = (clean_word(*word, seconds=seconds) for segment in segments for word in segment.words)
    return WhisperTranscript(
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

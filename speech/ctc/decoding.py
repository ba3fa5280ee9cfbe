"""From CTC emissions to text with times and confidence.

Where anything may be said, the most probable token of each frame is taken, and repetitions and blanks are removed.
Where a recogniser knows the words that may be said, `speech.ctc.lexicon` finds the most probable of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from speech.ctc.folder import Recogniser


@dataclass(frozen=True)
class SpokenWord:
    """A word, its start and end in seconds, and how sure the model is of it, 0 to 1."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """The text of so many seconds of sound.

    `confidence` is the geometric mean of the tokens' probabilities or, where there is no word, of the frames' greatest.
    """

    text: str
    words: tuple[SpokenWord, ...]
    seconds: float
    confidence: float


class Run(NamedTuple):
    """Frames from `start` to before `end` of which `token` is the most probable; `log_probability` of the surest."""

    token: int
    start: int
    end: int
    log_probability: float


def runs(emissions: np.ndarray) -> list[Run]:
    """All runs of a frame's most probable token, blanks too, of log probabilities (frames, vocabulary)."""
    if not len(emissions):
        return []
    best = emissions.argmax(1)
    sure = emissions[np.arange(len(best)), best]
    starts = np.flatnonzero(np.r_[True, best[1:] != best[:-1]])
    ends = np.r_[starts[1:], len(best)]
    return [
        Run(int(best[start]), int(start), int(end), float(sure[start:end].max()))
        for start, end in zip(starts, ends, strict=True)
    ]


def decode(emissions: np.ndarray, recogniser: Recogniser, seconds: float | None = None) -> Transcript:
    """The text of log probabilities (frames, vocabulary). `seconds`: how long the recording is; the frames' by default.

    A word begins with its first token's first frame and ends with its last token's last.
    """
    step = recogniser.frame_seconds
    seconds = len(emissions) * step if seconds is None else seconds
    found = _listed(emissions, recogniser) if recogniser.lexicon else _spelt(emissions, recogniser)

    def time(frame: int) -> float:
        return round(min(frame * step, seconds), 3)

    words = tuple(SpokenWord(word.text, time(word.start), time(word.end), _mean(word.logs)) for word in found)
    logs = [log for word in found for log in word.logs]
    sure = _mean(logs if logs else emissions.max(1, initial=-np.inf).tolist())
    return Transcript(" ".join(word.text for word in words), words, seconds, sure)


class _Found(NamedTuple):
    """A word, its first frame and the one after its last, and its tokens' log probabilities."""

    text: str
    start: int
    end: int
    logs: list[float]


def _spelt(emissions: np.ndarray, recogniser: Recogniser) -> list[_Found]:
    spoken = [run for run in runs(emissions) if run.token != recogniser.blank]
    return [
        _Found(
            text,
            spoken[places[0]].start,
            spoken[places[-1]].end,
            [spoken[place].log_probability for place in places],
        )
        for text, places in recogniser.spelling.words([run.token for run in spoken])
    ]


def _listed(emissions: np.ndarray, recogniser: Recogniser) -> list[_Found]:
    assert recogniser.lexicon is not None
    return [
        _Found(recogniser.words[heard.word], heard.start, heard.end, [heard.log_probability])
        for heard in recogniser.lexicon.decode(emissions)
    ]


def _mean(logs: Iterable[float]) -> float:
    """The geometric mean of probabilities; 0 of none."""
    values = list(logs)
    return round(min(1.0, float(np.exp(np.mean(values)))), 4) if values else 0.0

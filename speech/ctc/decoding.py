"""From CTC emissions to text with times and confidence.

Where anything may be said, the most probable token of each frame is taken, and repetitions and blanks are removed.
Where a recogniser knows the words that may be said, `speech.ctc.lexicon` finds the most probable of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from speech.ctc.folder import Recogniser
from speech.ctc.lexicon import LexiconSearch, LexiconWord


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
    decoder = Decoder(recogniser)
    decoder.add(emissions)
    return decoder.finish(seconds)


class Decoder:
    """As `decode`, of emissions that come piece by piece. It keeps what was found, and none of the emissions."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        self._search = _ListedSearch(recogniser) if recogniser.lexicon else _SpeltSearch(recogniser)
        self._found: list[_Found] = []
        self._frames = 0
        self._logs_of_surest = 0.0  # the sum over all frames

    def add(self, emissions: np.ndarray) -> list[str]:
        """The words that further frames (frames, vocabulary) have decided: no later frame changes them."""
        self._frames += len(emissions)
        self._logs_of_surest += float(emissions.max(1, initial=-np.inf).sum(dtype=np.float64))
        decided = self._search.add(emissions)
        self._found += decided
        return [word.text for word in decided]

    def finish(self, seconds: float | None = None) -> Transcript:
        """The transcript of all frames, its text the words of `add` and those that were not decided yet."""
        self._found += self._search.finish()
        step = self._recogniser.frame_seconds
        end = self._frames * step if seconds is None else seconds

        def time(frame: int) -> float:
            return round(min(frame * step, end), 3)

        words = tuple(SpokenWord(word.text, time(word.start), time(word.end), _mean(word.logs)) for word in self._found)
        logs = [log for word in self._found for log in word.logs]
        if not logs and self._frames:
            logs = [self._logs_of_surest / self._frames]
        return Transcript(" ".join(word.text for word in words), words, end, _mean(logs))


class _Found(NamedTuple):
    """A word, its first frame and the one after its last, and its tokens' log probabilities."""

    text: str
    start: int
    end: int
    logs: list[float]


class _SpeltSearch:
    """The most probable token of each frame. All words but the last are decided: that one may go on."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        self._frames = 0
        self._spoken: list[Run] = []  # runs of tokens from the word that may go on
        self._open: Run | None = None  # the last run, which may go on, too

    def add(self, emissions: np.ndarray) -> list[_Found]:
        for run in runs(emissions):
            self._follow(run._replace(start=run.start + self._frames, end=run.end + self._frames))
        self._frames += len(emissions)
        words = list(self._words())
        if not words:
            return []
        self._spoken = self._spoken[words[-1][1][0] :]
        return [found for found, _ in words[:-1]]

    def finish(self) -> list[_Found]:
        if self._open is not None:
            self._close(self._open)
        return [found for found, _ in self._words()]

    def _follow(self, run: Run) -> None:
        before, self._open = self._open, run
        if before is None:
            return
        if before.token == run.token:
            surest = max(before.log_probability, run.log_probability)
            self._open = Run(run.token, before.start, run.end, surest)
        else:
            self._close(before)

    def _close(self, run: Run) -> None:
        if run.token != self._recogniser.blank:
            self._spoken.append(run)

    def _words(self) -> Iterator[tuple[_Found, list[int]]]:
        """The words of the runs, and the places of each word's runs."""
        spoken = self._spoken
        for text, places in self._recogniser.spelling.words([run.token for run in spoken]):
            logs = [spoken[place].log_probability for place in places]
            yield _Found(text, spoken[places[0]].start, spoken[places[-1]].end, logs), places


class _ListedSearch:
    """The most probable way through the words that may be said."""

    def __init__(self, recogniser: Recogniser) -> None:
        assert recogniser.lexicon is not None
        self._words = recogniser.words
        self._search = LexiconSearch(recogniser.lexicon)

    def add(self, emissions: np.ndarray) -> list[_Found]:
        return self._named(self._search.add(emissions))

    def finish(self) -> list[_Found]:
        return self._named(self._search.finish())

    def _named(self, heard: Iterable[LexiconWord]) -> list[_Found]:
        return [_Found(self._words[word.word], word.start, word.end, [word.log_probability]) for word in heard]


def _mean(logs: Iterable[float]) -> float:
    """The geometric mean of probabilities; 0 of none."""
    values = list(logs)
    return round(min(1.0, float(np.exp(np.mean(values)))), 4) if values else 0.0

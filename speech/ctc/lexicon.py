"""CTC decoding where it is known which words may be said: the most probable way through words of a list alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_STAY, _NEXT, _SKIP, _ENTER = range(4)


@dataclass(frozen=True)
class LexiconWord:
    """A word of the list, by its place there, from frame `start` to before `end`, and the mean log probability of its
    tokens, each at its surest frame."""

    word: int
    start: int
    end: int
    log_probability: float


class Lexicon:
    """Words as tokens, laid out as one row of CTC states: each token of each word, a blank between two of them.

    Between words there is one more state that hears a blank or a space. Viterbi: time and memory go by frames times
    states, so a list may have thousands of words.
    """

    def __init__(self, words: Sequence[Sequence[int]], blank: int, spaces: Sequence[int] = ()) -> None:
        """`words`: token ids of each; `spaces`: tokens that sound between words. Raises ValueError for an empty one."""
        if not words or not all(words):
            raise ValueError("a lexicon needs words, and each at least one token")
        self._blank, self._between = blank, [blank, *spaces]
        states: list[int] = []
        first: list[int] = []
        last: list[int] = []
        skips: list[bool] = []
        for word in words:
            first.append(len(states))
            for place, token in enumerate(word):
                if place:
                    states.append(blank)
                    skips.append(False)
                states.append(token)
                skips.append(place > 0 and word[place - 1] != token)
            last.append(len(states) - 1)
        self._token, self._skips = np.array(states), np.array(skips)
        self._first, self._last = np.array(first), np.array(last)

    @cached_property
    def _word_of(self) -> np.ndarray:
        return np.repeat(np.arange(len(self._first)), self._last - self._first + 1)

    def decode(self, emissions: np.ndarray) -> list[LexiconWord]:
        """The words of the most probable way through log probabilities (frames, vocabulary); maybe none."""
        frames, size = len(emissions), len(self._token)
        if not frames:
            return []
        said = emissions[:, self._token]
        silence = emissions[:, self._between].max(1)
        way = np.empty((frames, size), np.int8)  # how each state was come to
        left = np.full(frames, -1)  # the word after which the pause at a frame began, -1 where it goes on
        score = np.full(size, -np.inf)
        pause = 0.0
        entries = self._first
        inner = np.ones(size, bool)
        inner[entries] = False
        for frame in range(frames):
            options = np.full((4, size), -np.inf)
            options[_STAY] = score
            options[_NEXT, 1:] = np.where(inner[1:], score[:-1], -np.inf)
            options[_SKIP, 2:] = np.where(self._skips[2:], score[:-2], -np.inf)
            options[_ENTER, entries] = pause
            ended = score[self._last]
            best = int(ended.argmax())
            way[frame] = options.argmax(0)
            score = options.max(0) + said[frame]
            if ended[best] > pause:
                left[frame] = best
            pause = max(pause, float(ended[best])) + silence[frame]
        return self._followed(way, left, emissions, score, pause)

    def _followed(
        self, way: np.ndarray, left: np.ndarray, emissions: np.ndarray, score: np.ndarray, pause: float
    ) -> list[LexiconWord]:
        """The words along the best way, followed back from its end."""
        ended = score[self._last]
        state = int(self._last[ended.argmax()]) if ended.max() > pause else -1
        found: list[LexiconWord] = []
        end, surest = len(way), dict[int, float]()
        for frame in range(len(way) - 1, -1, -1):
            if state < 0:  # a pause
                if left[frame] >= 0:
                    state, end, surest = int(self._last[left[frame]]), frame, {}
                continue
            if self._token[state] != self._blank:
                surest[state] = max(surest.get(state, -np.inf), float(emissions[frame, self._token[state]]))
            step = way[frame, state]
            if step == _ENTER:
                found.append(LexiconWord(int(self._word_of[state]), frame, end, float(np.mean(list(surest.values())))))
                state = -1
            elif step != _STAY:
                state -= 1 if step == _NEXT else 2
        return found[::-1]

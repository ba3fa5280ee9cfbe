"""CTC decoding where it is known which words may be said: the most probable path through words of a list alone.

The states are those of CTC, one row for all words. Each token of a word is a state, and so is the blank between two of
its tokens. One more state, the pause, stands between words; it hears a blank or a space. For a list of the words "ab"
and "cc", with `-` for the blank:

        +-------+    +-------+    +-------+
    .-->|   a   |--->|   -   |--->|   b   |--.       stay    in each state, for any number of frames
    |   +-------+    +-------+    +-------+  |       next    from a state to the one after it in its word
    |       '------------skip---------^      |       skip    from token to token past the blank between them, unless
 +-------+                                   |               they are the same token: "cc" needs its blank
 | pause |<----------------------------------+       enter   from the pause to the first token of a word
 +-------+                                   |       leave   from the last token of a word to the pause
    |   +-------+    +-------+    +-------+  |
    '-->|   c   |--->|   -   |--->|   c   |--'
        +-------+    +-------+    +-------+

A path begins in the pause, and ends there or in the last token of a word. `decode` finds the most probable path by
Viterbi's algorithm: forward it keeps for each frame how the best path came into each state, backward it reads off the
words. Time and memory grow with frames times states, so a list may have thousands of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_STAY, _NEXT, _SKIP, _ENTER = range(4)
_PAUSE = -1  # the pause, where it stands for a state


@dataclass(frozen=True)
class LexiconWord:
    """A word of the list that was said, from frame `start` to before `end`."""

    word: int
    """Its place in the list."""
    start: int
    end: int
    log_probability: float
    """The mean of its tokens', each at its surest frame."""


@dataclass(frozen=True)
class _Path:
    """The best path into every state at every frame, to be followed back."""

    steps: np.ndarray
    """(frames, states) int8: the move by which each state was come into."""
    left: np.ndarray
    """(frames,): the word that was left for the pause at a frame, -1 where the pause went on."""
    scores: np.ndarray
    """(states,): log probability of the best path that ends in each state."""
    pause: float
    """Log probability of the best path that ends in the pause."""


class Lexicon:
    """Words as tokens, laid out as one row of states."""

    def __init__(self, words: Sequence[Sequence[int]], blank: int, spaces: Sequence[int] = ()) -> None:
        """`words`: token ids of each; `spaces`: tokens that sound between words.

        Raises ValueError where there are no words, or one has no tokens.
        """
        if not words or not all(words):
            raise ValueError("a lexicon needs words, and each at least one token")
        self._blank, self._pause_tokens = blank, [blank, *spaces]
        tokens: list[int] = []
        skips: list[bool] = []
        for word in words:
            tokens.append(word[0])
            skips.append(False)
            for before, token in pairwise(word):
                tokens += [blank, token]
                skips += [False, before != token]
        lengths = np.array([2 * len(word) - 1 for word in words])
        self._tokens = np.array(tokens)  # (states,): what each state hears
        self._skips = np.array(skips)  # (states,): whether a state may be come into from two before it
        self._last = np.cumsum(lengths) - 1  # (words,): the state of each word's last token
        self._first = self._last - lengths + 1  # (words,): the state of each word's first token
        self._inner = np.ones(len(tokens), bool)  # (states,): whether a state may be come into from the one before it
        self._inner[self._first] = False
        self._words = np.repeat(np.arange(len(words)), lengths)  # (states,): the word of each

    def decode(self, emissions: np.ndarray) -> list[LexiconWord]:
        """The words of the most probable path through log probabilities (frames, vocabulary); maybe none."""
        return self._followed(self._best(emissions), emissions) if len(emissions) else []

    def _best(self, emissions: np.ndarray) -> _Path:
        """Viterbi's forward pass."""
        frames, states = len(emissions), len(self._tokens)
        heard = emissions[:, self._tokens]
        silence = emissions[:, self._pause_tokens].max(1)
        steps = np.empty((frames, states), np.int8)
        left = np.full(frames, -1)
        scores, pause = np.full(states, -np.inf), 0.0
        for frame in range(frames):
            into = self._into(scores, pause)
            ended = scores[self._last]
            best = int(ended.argmax())
            steps[frame] = into.argmax(0)
            scores = into.max(0) + heard[frame]
            if ended[best] > pause:
                left[frame] = best
            pause = max(pause, float(ended[best])) + silence[frame]
        return _Path(steps, left, scores, pause)

    def _into(self, scores: np.ndarray, pause: float) -> np.ndarray:
        """(moves, states): the score of coming into each state by each move, from scores of the frame before."""
        into = np.full((4, len(scores)), -np.inf)
        into[_STAY] = scores
        into[_NEXT, 1:] = np.where(self._inner[1:], scores[:-1], -np.inf)
        into[_SKIP, 2:] = np.where(self._skips[2:], scores[:-2], -np.inf)
        into[_ENTER, self._first] = pause
        return into

    def _followed(self, path: _Path, emissions: np.ndarray) -> list[LexiconWord]:
        """The words along the best path, which is followed back from its end."""
        ended = path.scores[self._last]
        state = int(self._last[ended.argmax()]) if ended.max() > path.pause else _PAUSE
        found: list[LexiconWord] = []
        end = len(emissions)
        surest: dict[
            int, float
        ] = {}  # state of the word that is being followed to its token's greatest log probability
        for frame in range(len(emissions) - 1, -1, -1):
            if state == _PAUSE:
                if path.left[frame] >= 0:
                    state, end, surest = int(self._last[path.left[frame]]), frame, {}
                continue
            token = self._tokens[state]
            if token != self._blank:
                surest[state] = max(surest.get(state, -np.inf), float(emissions[frame, token]))
            step = path.steps[frame, state]
            if step == _ENTER:
                found.append(LexiconWord(int(self._words[state]), frame, end, float(np.mean(list(surest.values())))))
                state = _PAUSE
            elif step != _STAY:
                state -= 1 if step == _NEXT else 2
        return found[::-1]

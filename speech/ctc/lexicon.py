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

A path begins in the pause, and ends there or in the last token of a word. `LexiconSearch` finds the most probable path
by Viterbi's algorithm: forward it keeps for each frame how the best path came into each state, backward it reads off
the words. Where the best paths into all states have been in the pause at once, all of them have the same words before
it: these are read off and their frames forgotten while the sound goes on. Time grows with frames times states, memory
with the frames that are not yet decided, so a list may have thousands of words and a recording hours.
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


class Lexicon:
    """Words as tokens, laid out as one row of states."""

    def __init__(self, words: Sequence[Sequence[int]], blank: int, spaces: Sequence[int] = ()) -> None:
        """`words`: token ids of each; `spaces`: tokens that sound between words.

        Raises ValueError where there are no words, or one has no tokens.
        """
        if not words or not all(words):
            raise ValueError("a lexicon needs words, and each at least one token")
        self.blank, self.pause_tokens = blank, [blank, *spaces]
        tokens: list[int] = []
        skips: list[bool] = []
        for word in words:
            tokens.append(word[0])
            skips.append(False)
            for before, token in pairwise(word):
                tokens += [blank, token]
                skips += [False, before != token]
        lengths = np.array([2 * len(word) - 1 for word in words])
        self.tokens = np.array(tokens)  # (states,): what each state hears
        self._skips = np.array(skips)  # (states,): whether a state may be come into from two before it
        self.last = np.cumsum(lengths) - 1  # (words,): the state of each word's last token
        self._first = self.last - lengths + 1  # (words,): the state of each word's first token
        self._inner = np.ones(len(tokens), bool)  # (states,): whether a state may be come into from the one before it
        self._inner[self._first] = False
        self.words = np.repeat(np.arange(len(words)), lengths)  # (states,): the word of each

    def into(self, scores: np.ndarray, pause: float) -> np.ndarray:
        """(moves, states): the score of coming into each state by each move, from scores of the frame before."""
        into = np.full((4, len(scores)), -np.inf)
        into[_STAY] = scores
        into[_NEXT, 1:] = np.where(self._inner[1:], scores[:-1], -np.inf)
        into[_SKIP, 2:] = np.where(self._skips[2:], scores[:-2], -np.inf)
        into[_ENTER, self._first] = pause
        return into


class LexiconSearch:
    """The most probable path through emissions that come piece by piece, each frame once, in order."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._heard, self._column = np.unique(lexicon.tokens, return_inverse=True)  # tokens; (states,): theirs
        states = len(lexicon.tokens)
        self._first = 0  # frame of the recording with which what is kept begins; every path was in the pause before it
        self._steps = np.empty((0, states), np.int8)
        """(frames, states): the move by which the best path came into each state, of the frames that are kept."""
        self._left = np.empty(0, int)
        """(frames,): the word that was left for the pause at a frame, -1 where the pause went on."""
        self._logs = np.empty((0, len(self._heard)), np.float32)
        """(frames, tokens): what was heard."""
        self._scores, self._pause = np.full(states, -np.inf), 0.0  # of the best paths into each state, into the pause

    def add(self, emissions: np.ndarray) -> list[LexiconWord]:
        """The words that further log probabilities (frames, vocabulary) have decided: nothing changes them any more."""
        self._go_on(emissions)
        return self._decided()

    def finish(self) -> list[LexiconWord]:
        """The rest of the most probable path's words."""
        ended = self._scores[self._lexicon.last]
        state = int(self._lexicon.last[ended.argmax()]) if ended.max() > self._pause else _PAUSE
        return self._followed(state, len(self._left))

    def _go_on(self, emissions: np.ndarray) -> None:
        """Viterbi's forward pass."""
        lexicon, frames = self._lexicon, len(emissions)
        logs = emissions[:, self._heard]
        silence = emissions[:, lexicon.pause_tokens].max(1)
        steps = np.empty((frames, len(lexicon.tokens)), np.int8)
        left = np.full(frames, -1)
        for frame in range(frames):
            into = lexicon.into(self._scores, self._pause)
            ended = self._scores[lexicon.last]
            best = int(ended.argmax())
            steps[frame] = into.argmax(0)
            self._scores = into.max(0) + logs[frame, self._column]
            if ended[best] > self._pause:
                left[frame] = best
            self._pause = max(self._pause, float(ended[best])) + float(silence[frame])
        self._steps = np.concatenate([self._steps, steps])
        self._left = np.concatenate([self._left, left])
        self._logs = np.concatenate([self._logs, logs])

    def _decided(self) -> list[LexiconWord]:
        """The words before the last frame in which all best paths were in the pause, which are forgotten with it."""
        states = np.append(np.flatnonzero(np.isfinite(self._scores)), _PAUSE)
        for end in range(len(self._left), 0, -1):
            if len(states) == 1 and states[0] == _PAUSE:
                found = self._followed(_PAUSE, end)
                self._first += end
                self._steps, self._left, self._logs = self._steps[end:], self._left[end:], self._logs[end:]
                return found
            states = np.unique(self._before(states, end - 1))
        return []

    def _before(self, states: np.ndarray, frame: int) -> np.ndarray:
        """The states that the best paths into `states` at a frame come from."""
        steps = self._steps[frame, states]
        came = np.select([steps == _STAY, steps == _NEXT, steps == _SKIP], [states, states - 1, states - 2], _PAUSE)
        left = int(self._left[frame])
        came[states == _PAUSE] = _PAUSE if left < 0 else self._lexicon.last[left]
        return came

    def _followed(self, state: int, end: int) -> list[LexiconWord]:
        """The words along the best path into `state` at the last of the first `end` frames, followed back."""
        lexicon = self._lexicon
        found: list[LexiconWord] = []
        surest: dict[
            int, float
        ] = {}  # state of the word that is being followed to its token's greatest log probability
        for frame in range(end - 1, -1, -1):
            if state == _PAUSE:
                if self._left[frame] >= 0:
                    state, end, surest = int(lexicon.last[self._left[frame]]), frame, {}
                continue
            if lexicon.tokens[state] != lexicon.blank:
                surest[state] = max(surest.get(state, -np.inf), float(self._logs[frame, self._column[state]]))
            step = self._steps[frame, state]
            if step == _ENTER:
                mean = float(np.mean(list(surest.values())))
                found.append(LexiconWord(int(lexicon.words[state]), self._first + frame, self._first + end, mean))
                state = _PAUSE
            elif step != _STAY:
                state -= 1 if step == _NEXT else 2
        return found[::-1]

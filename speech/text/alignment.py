"""A known text laid over a recording: when each of its words is spoken, from what the model spells, frame by frame."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speech.text.language import Language
from speech.text.letters import sounding_letters, split_words
from speech.text.letters import spelling as spelled


class AlignmentError(ValueError):
    """The text cannot be laid over the recording; the message says why."""


@dataclass(frozen=True)
class TimedWord:
    """A word of the text as it was given, and its start and end in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class PlacedLetter:
    """A letter of a text: its `column` of the spelling, from 1, the word it stands in, and the frame where it begins.

    `marker` is the marker letter that sounds there, None where none does.
    """

    column: int
    word: int
    frame: int
    marker: str | None


@dataclass(frozen=True)
class Alignment:
    """A text laid over a recording."""

    words: list[TimedWord]
    letters: list[PlacedLetter]


def align(text: str, spelling: np.ndarray, frame_seconds: float, language: Language) -> Alignment:
    """Words and letters of `text` with their times, by the most probable path of CTC through `spelling` (frames, 1 +
    alphabet), log probabilities of no letter and of each. Raises `AlignmentError`.

    A word lasts from its first letter to the next word's first letter or, where letters end earlier, half-way there:
    CTC marks where letters begin better than where they end.
    """
    words = [word for word in text.split() if split_words(word, language)]
    letters = [spelled(word, language) for word in words]
    if not words:
        raise AlignmentError("the text holds no word")
    if strange := [word for word, known in zip(words, letters, strict=True) if not known]:
        raise AlignmentError(f"these are not written in the letters of {language.code}: {', '.join(strange[:5])}")
    flat = [letter for word in letters for letter in word]
    frames = best_path(spelling, flat)
    timed: list[TimedWord] = []
    placed: list[PlacedLetter] = []
    first = 0
    for word, known in zip(words, letters, strict=True):
        markers = sounding_letters(word, language)
        begins = frames[first : first + len(known)]
        placed += [PlacedLetter(*one) for one in zip(known, [len(timed)] * len(known), begins, markers, strict=True)]
        begin, end = frames[first], frames[first + len(known) - 1] + 1
        first += len(known)
        if first < len(frames):
            end = max(end, (end + frames[first]) // 2)
        timed.append(TimedWord(word, round(begin * frame_seconds, 3), round(end * frame_seconds, 3)))
    return Alignment(timed, placed)


def words_under(words: Sequence[TimedWord], start: float, end: float) -> list[int]:
    """Indices of the words that a stretch of time touches; where it lies between words, the one that comes next, or
    the last: a disfluency belongs to the word it delays."""
    touched = [index for index, word in enumerate(words) if word.start < end and start < word.end]
    if touched or not words:
        return touched
    return [next((index for index, word in enumerate(words) if word.start >= end), len(words) - 1)]


def best_path(spelling: np.ndarray, letters: Sequence[int]) -> list[int]:
    """The frame at which each letter (a column of `spelling`) begins, on the most probable path of CTC.

    Raises `AlignmentError` where there are fewer frames than the letters need.
    """
    states = np.zeros(2 * len(letters) + 1, dtype=int)  # no letter, letter, no letter, …
    states[1::2] = letters
    frames, count = len(spelling), len(states)
    if frames < len(letters) + sum(a == b for a, b in itertools.pairwise(letters)):
        raise AlignmentError(f"the recording is too short for {len(letters)} letters")
    skips = np.zeros(count, dtype=bool)  # from one letter straight to the next, unless it is the same
    skips[3::2] = states[3::2] != states[1:-2:2]
    scores = np.full(count, -np.inf)
    scores[:2] = spelling[0, states[:2]]
    came = np.zeros((frames, count), dtype=np.int8)  # how many states further the path moved into this one
    for frame in range(1, frames):
        options = np.full((3, count), -np.inf)
        options[0] = scores
        options[1, 1:] = scores[:-1]
        options[2, 2:] = np.where(skips[2:], scores[:-2], -np.inf)
        came[frame] = options.argmax(0)
        scores = options.max(0) + spelling[frame, states]
    state = count - 1 if scores[-1] >= scores[-2] else count - 2
    begins = [0] * len(letters)
    for frame in range(frames - 1, -1, -1):
        if state % 2:
            begins[state // 2] = frame
        state -= int(came[frame, state])
    return begins

"""How well each marker letter of a known text is said: a score a sound, by goodness of pronunciation.

Two figures tell of a letter: how much more probable the letter is in its frames than any other (Witt and Young 2000,
here from the posteriors of CTC), and how much the frames themselves sound like a defect of it. A bundle holds the
weights that make a probability of them, learned from validation clips of speakers whom the model has not heard.
The text is given, so nothing is corrected: who says another sound than the text has is heard to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from speech.text.alignment import Alignment, PlacedLetter

FEATURES = 2
_LONGEST_SECONDS = 0.16  # of a letter before the next one; what lies beyond is a pause
_BEFORE_SECONDS = 0.04  # a letter is heard a little before CTC marks it
_LEAST_PROBABILITY = 1e-4  # of a letter in a frame; less tells nothing more


@dataclass(frozen=True)
class SoundScale:
    """How a class's two figures become the probability, 0 to 1, that a sound has the defect: sigmoid(weights · figures
    + bias). Raises ValueError for values that are not finite, or of another number."""

    weights: tuple[float, ...]
    bias: float

    def __post_init__(self) -> None:
        if len(self.weights) != FEATURES or not all(map(math.isfinite, (*self.weights, self.bias))):
            raise ValueError(f"a scale of sounds has {FEATURES} finite weights and a finite bias")

    def apply(self, figures: np.ndarray) -> np.ndarray:
        """Probabilities (n,) of `figures` (n, 2)."""
        scaled = np.asarray(figures, dtype=np.float64) @ np.array(self.weights) + self.bias
        probabilities: np.ndarray = np.exp(-np.logaddexp(0.0, -scaled))
        return probabilities

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return asdict(self) | {"weights": list(self.weights)}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> SoundScale:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        return SoundScale(tuple(map(float, value["weights"])), float(value["bias"]))


@dataclass(frozen=True)
class SpokenSound:
    """A marker letter of a text where it is said. `word` is the index of its word, times are in seconds.

    `defects`: defect class to the probability, 0 to 1, that the sound has it. `score`: that it has none of them.
    """

    letter: str
    word: int
    start: float
    end: float
    score: float
    defects: Mapping[str, float]


def score_sounds(
    alignment: Alignment,
    spelling: np.ndarray,
    frame_scores: np.ndarray,
    frame_seconds: float,
    classes: Sequence[str],
    letters: Mapping[str, Sequence[str]],
    scales: Mapping[str, SoundScale],
) -> list[SpokenSound]:
    """The marker letters of an aligned text that a class with a scale is told by, in order of the text.

    `spelling` (frames, 1 + alphabet) and `frame_scores` (frames, classes) are a diagnosis's, `letters` says by which
    marker letters each class is told.
    """
    found = []
    for index, letter in enumerate(alignment.letters):
        told = [name for name in scales if letter.marker in letters.get(name, ())]
        if letter.marker is None or not told:
            continue
        span = span_of(alignment.letters, index, len(spelling), frame_seconds)
        defects = {}
        for name in told:
            told_by = figures(alignment.letters, index, span, spelling, frame_scores[:, classes.index(name)])
            defects[name] = float(scales[name].apply(told_by[None])[0])
        found.append(
            SpokenSound(
                letter.marker,
                letter.word,
                round(span[0] * frame_seconds, 3),
                round(span[1] * frame_seconds, 3),
                round(math.prod(1.0 - probability for probability in defects.values()), 4),
                {name: round(probability, 4) for name, probability in defects.items()},
            )
        )
    return found


def span_of(letters: Sequence[PlacedLetter], index: int, frames: int, frame_seconds: float) -> tuple[int, int]:
    """The frames of a letter: from a little before it begins up to the next letter, first and one past the last."""
    begins = letters[index].frame
    after = letters[index + 1].frame if index + 1 < len(letters) else frames
    before = letters[index - 1].frame + 1 if index else 0
    first = max(before, begins - round(_BEFORE_SECONDS / frame_seconds))
    last = min(after, begins + max(1, round(_LONGEST_SECONDS / frame_seconds)), frames)
    return min(first, begins), max(last, begins + 1)


def figures(
    letters: Sequence[PlacedLetter], index: int, span: tuple[int, int], spelling: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """What tells of a letter in its frames, (2,): by how much its log probability, at its best, is beyond that of the
    best other letter, and the greatest of the frames' `scores` (frames,) of a defect.

    The letters before and after it are no others: they are rightly heard at its edges.
    """
    heard = np.maximum(spelling[span[0] : span[1], 1:].astype(np.float64), math.log(_LEAST_PROBABILITY)).max(0)
    near = {letter.column - 1 for letter in letters[max(0, index - 1) : index + 2]}
    others = [value for column, value in enumerate(heard.tolist()) if column not in near]
    own = heard[letters[index].column - 1]
    return np.array([own - max(others, default=math.log(_LEAST_PROBABILITY)), scores[span[0] : span[1]].max()])

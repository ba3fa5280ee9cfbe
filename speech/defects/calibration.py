"""From a model's logits to calibrated probabilities, and from these to verdicts, where classes are exclusive.

A network that is trained to be right is more certain than it is right (Guo et al. 2017, 1706.04599). A temperature and
a bias per class correct that. They are fitted on speakers that the network was not trained on
(`pipeline.defects.calibration`), and stand in the bundle, so that what was measured is what is served.
`speech.defects.multilabel` is for several defects at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from speech.defects.sounds import SoundScale
from speech.defects.spec import REFERENCE_CLASS


class Verdict(StrEnum):
    """What is said of one defect in one recording."""

    yes = "yes"
    no = "no"
    unsure = "unsure"
    not_assessable = "not_assessable"  # nothing was heard by which the defect could be told


def doubted(verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Verdicts on a recording for which the calibration does not hold: at most unsure."""
    return {
        name: verdict if verdict == Verdict.not_assessable else Verdict.unsure for name, verdict in verdicts.items()
    }


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities, and when these suffice for a verdict.

    The default changes nothing: the probabilities are the softmax, the most probable class is the verdict, and
    everything can be judged. Raises ValueError for a temperature that is not positive and for values that are not
    finite.
    """

    exclusive: ClassVar[bool] = True

    temperature: float = 1.0
    """Logits are divided by it; above 1 it makes probabilities more cautious."""
    bias: tuple[float, ...] = ()
    """Added per class to the divided logits; empty means none."""
    unsure_below: float = 0.0
    """Least probability, 0 to 1, of the most probable class for the recording to be judged outright."""
    fewest_letters: float = 0.0
    """Least predicted count of a class's marker letters in a recording for that class to be judged."""
    letters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class to its marker letters; a class without them can always be judged."""
    heard_from: Mapping[str, float] = field(default_factory=dict)
    """Class to how much of it must be heard in a frame, 0 to 1, for the frame to belong to a place of it."""
    sounds: Mapping[str, SoundScale] = field(default_factory=dict)
    """Class to how its marker letters in a known text are scored; none where that was not learned."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.temperature, *self.bias, self.unsure_below, self.fewest_letters))):
            raise ValueError("a calibration's values must be finite")
        if self.temperature <= 0:
            raise ValueError(f"temperature: must be positive, is {self.temperature}")

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities of logits (…, classes), of the same shape, float64; each row adds up to 1.

        Raises ValueError where the number of classes is not that of the bias.
        """
        scaled = np.asarray(logits, dtype=np.float64) / self.temperature
        if self.bias:
            if scaled.shape[-1] != len(self.bias):
                raise ValueError(f"logits of {scaled.shape[-1]} classes, but a calibration for {len(self.bias)}")
            scaled = scaled + np.array(self.bias)
        powers = np.exp(scaled - scaled.max(-1, keepdims=True))
        shares: np.ndarray = powers / powers.sum(-1, keepdims=True)
        return shares

    def accepts(self, probabilities: Sequence[float]) -> bool:
        """Whether a recording's most probable class is probable enough to be named outright."""
        return max(probabilities) >= self.unsure_below

    def verdicts(
        self, classes: Sequence[str], probabilities: Sequence[float], markers: Mapping[str, float]
    ) -> dict[str, Verdict]:
        """A verdict per defect class, in order; the class of speech without a defect has none.

        Where the most probable class reaches `unsure_below`, its verdict is `yes` and the others' `no`. Where it does
        not, as many of the most probable classes as together reach it are `unsure`, and the others `no`. A class with
        marker letters is not assessable where `markers` (predicted count per letter) counts fewer than `fewest_letters`
        of them.
        """
        order = sorted(range(len(classes)), key=lambda index: -probabilities[index])
        before = np.cumsum([0.0] + [probabilities[index] for index in order[:-1]])
        possible = {classes[index] for index, sum_ in zip(order, before, strict=True) if sum_ < self.unsure_below}
        possible.add(classes[order[0]])  # a threshold of 0 leaves none
        word = Verdict.yes if len(possible) == 1 else Verdict.unsure
        return {
            name: (word if name in possible else Verdict.no)
            if assessable(self.letters.get(name, ()), markers, self.fewest_letters)
            else Verdict.not_assessable
            for name in classes
            if name != REFERENCE_CLASS
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return {
            "temperature": self.temperature,
            "bias": list(self.bias),
            "unsure_below": self.unsure_below,
            "fewest_letters": self.fewest_letters,
            "letters": {name: list(letters) for name, letters in self.letters.items()},
            "heard_from": dict(self.heard_from),
            "sounds": {name: scale.as_dict() for name, scale in self.sounds.items()},
        }

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Calibration:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        return Calibration(
            temperature=float(value["temperature"]),
            bias=tuple(map(float, value["bias"])),
            unsure_below=float(value["unsure_below"]),
            fewest_letters=float(value["fewest_letters"]),
            letters={name: tuple(letters) for name, letters in value["letters"].items()},
            heard_from=dict(value["heard_from"]),
            sounds={name: SoundScale.from_dict(scale) for name, scale in value.get("sounds", {}).items()},
        )


def assessable(letters: Sequence[str], markers: Mapping[str, float], fewest: float) -> bool:
    """Whether a class with these marker letters, if any, can be judged: `fewest` or more of them are counted."""
    return not letters or sum(markers[letter] for letter in letters) >= fewest


IDENTITY = Calibration()
"""For bundles written before there was a calibration."""

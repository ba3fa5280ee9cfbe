"""Calibration where a clip may have several defects: each defect's logit gets its own probability and its own verdict.

The defects are taken for independent: the probability of no defect is the product of the probabilities that each is
absent. The model's logit of no defect is not used. `speech.defects.calibration` is for exclusive classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from speech.defects.calibration import IDENTITY, Calibration, Verdict, assessable
from speech.defects.sounds import SoundScale
from speech.defects.spec import REFERENCE_CLASS, ModelSpec

PRESENT_FROM = 0.5  # a defect this probable is more likely there than not


@dataclass(frozen=True)
class Platt:
    """From one defect's logit to its probability, sigmoid(logit / temperature + bias) (Platt 1999), and to its verdict.

    Raises ValueError for a temperature that is not positive and for values that are not finite.
    """

    temperature: float = 1.0
    bias: float = 0.0
    yes_from: float = PRESENT_FROM
    """Least probability, 0 to 1, of the defect for the verdict yes."""
    no_from: float = PRESENT_FROM
    """Least probability, 0 to 1, of its absence for the verdict no."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.temperature, self.bias, self.yes_from, self.no_from))):
            raise ValueError("a calibration's values must be finite")
        if self.temperature <= 0:
            raise ValueError(f"temperature: must be positive, is {self.temperature}")

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities of the defect's logits, of the same shape, float64."""
        scaled = np.asarray(logits, dtype=np.float64) / self.temperature + self.bias
        # Of 1 / (1 + exp(-x)) and exp(x) / (1 + exp(x)), each where it cannot overflow.
        powers = np.exp(-np.abs(scaled))
        probabilities: np.ndarray = np.where(scaled >= 0, 1.0, powers) / (1.0 + powers)
        return probabilities

    def verdict(self, probability: float) -> Verdict:
        """The word for a defect this probable."""
        if probability >= PRESENT_FROM:
            return Verdict.yes if probability >= self.yes_from else Verdict.unsure
        return Verdict.no if 1.0 - probability >= self.no_from else Verdict.unsure


@dataclass(frozen=True)
class MultilabelCalibration:
    """`speech.defects.calibration.Calibration` for classes that are not exclusive: a `Platt` per defect.

    A defect without a `Platt` has the sigmoid of its logit as probability, and is never unsure. Raises ValueError where
    `classes` lack the class of speech without a defect.
    """

    exclusive: ClassVar[bool] = False

    classes: tuple[str, ...]
    defects: Mapping[str, Platt] = field(default_factory=dict)
    fewest_letters: float = 0.0
    """Least predicted count of a defect's marker letters in a recording for that defect to be judged."""
    letters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class to its marker letters; a class without them can always be judged."""
    heard_from: Mapping[str, float] = field(default_factory=dict)
    """Class to how much of it must be heard in a frame, 0 to 1, for the frame to belong to a place of it."""
    sounds: Mapping[str, SoundScale] = field(default_factory=dict)
    """Class to how its marker letters in a known text are scored; none where that was not learned."""

    def __post_init__(self) -> None:
        if REFERENCE_CLASS not in self.classes:
            raise ValueError(f"classes that are not exclusive must hold {REFERENCE_CLASS}, speech without a defect")

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities of logits (…, classes), of the same shape, float64; rows do not add up to 1.

        Raises ValueError where the number of classes is another.
        """
        values = np.asarray(logits, dtype=np.float64)
        if values.shape[-1] != len(self.classes):
            raise ValueError(f"logits of {values.shape[-1]} classes, but a calibration for {len(self.classes)}")
        probabilities = np.empty_like(values)
        absent = np.ones(values.shape[:-1])
        for index, name in enumerate(self.classes):
            if name != REFERENCE_CLASS:
                probabilities[..., index] = self.of(name).apply(values[..., index])
                absent = absent * (1.0 - probabilities[..., index])
        probabilities[..., self.classes.index(REFERENCE_CLASS)] = absent
        return probabilities

    def of(self, defect: str) -> Platt:
        """A defect's part."""
        return self.defects.get(defect, Platt())

    def verdicts(
        self, classes: Sequence[str], probabilities: Sequence[float], markers: Mapping[str, float]
    ) -> dict[str, Verdict]:
        """A verdict per defect class, in order, each judged for itself; the class of speech without a defect has none.

        A class with marker letters of which `markers` (predicted count per letter) counts fewer than `fewest_letters`
        is not assessable.
        """
        return {
            name: self.of(name).verdict(probability)
            if assessable(self.letters.get(name, ()), markers, self.fewest_letters)
            else Verdict.not_assessable
            for name, probability in zip(classes, probabilities, strict=True)
            if name != REFERENCE_CLASS
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return {
            "defects": {name: asdict(self.of(name)) for name in self.classes if name != REFERENCE_CLASS},
            "fewest_letters": self.fewest_letters,
            "letters": {name: list(letters) for name, letters in self.letters.items()},
            "heard_from": dict(self.heard_from),
            "sounds": {name: scale.as_dict() for name, scale in self.sounds.items()},
        }

    @staticmethod
    def from_dict(value: Mapping[str, Any], classes: Sequence[str]) -> MultilabelCalibration:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        return MultilabelCalibration(
            classes=tuple(classes),
            defects={name: Platt(**platt) for name, platt in value["defects"].items()},
            fewest_letters=float(value["fewest_letters"]),
            letters={name: tuple(letters) for name, letters in value["letters"].items()},
            heard_from=dict(value["heard_from"]),
            sounds={name: SoundScale.from_dict(scale) for name, scale in value.get("sounds", {}).items()},
        )


AnyCalibration = Calibration | MultilabelCalibration


def uncalibrated(spec: ModelSpec) -> AnyCalibration:
    """The plain softmax, or the plain sigmoids, with everything judged outright."""
    return IDENTITY if spec.exclusive else MultilabelCalibration(spec.classes)


def present(classes: Sequence[str], probabilities: Sequence[float]) -> tuple[str, ...]:
    """The defects that are more probable than not, in order; the class without a defect alone where none is.

    Of all combinations this is the most probable one, the defects taken for independent.
    """
    defects = tuple(
        name
        for name, probability in zip(classes, probabilities, strict=True)
        if name != REFERENCE_CLASS and probability >= PRESENT_FROM
    )
    return defects or (REFERENCE_CLASS,)

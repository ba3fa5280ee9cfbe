"""How far a recording is from the training clips: an out-of-distribution distance over figures of its sound.

A model's probabilities hold for sound like that of its test clips. The distance is Mahalanobis' with a diagonal
covariance: the root mean square of the figures' distances, each in deviations of the training clips. The two dozen
bands of the spectrum weigh together as much as the other five figures, because neighbouring bands say nearly the same.
A recording is unlike the training clips where it is farther than 99 of 100 recordings of their kind are. How far those
are is learned from clips that were left out of centres and deviations, each clip once: one that took part in them is
nearer than a new one. The distance shows another microphone, room, line or length. It shows nothing of voices or
defects.

Bundles keep what is needed under the name `training_distance` in statistics.json. Those of before have `likeness`
there, of figures in which offsets, hum and rumble counted; they are not compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from speech.audio.decode import SAMPLE_RATE, Quality, measure
from speech.audio.quality import Signal, band_centres, examine
from speech.longform.stretches import Stretch

# Of statistics.json; bundles of formats before have no such entry. A figure that is measured in another way must get
# another name, or this another key: else recordings are compared with what the training clips never were.
KEY = "training_distance"
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
LEAST_CLIPS = 20  # of fewer, deviations are too uncertain for any threshold
_LIKE = 0.99  # share of recordings of the training clips' kind that are to be like them
LEAST_THRESHOLD = 1.0  # within a deviation nothing is unlike, however alike the clips are
_LEAST_SCORE = 0.1  # clips nearer than that are alike; a logarithm of less would tell of their digits
_MOST_FOLDS = 100  # of the clips that are left out in turn; one clip a fold as long as there are no more clips
_NORMAL_QUARTILES = 1.349  # between the quartiles of a normal distribution, in deviations
_NAMED, _NAMED_FROM = 3, 2.0  # figures named, at most, and from how many deviations on
# Deviations are no less, so that clips that are all alike do not make a hair's breadth a distance. Seconds are compared
# in octaves: half as long is as far as twice.
_LEAST_DEVIATION = {"level_dbfs": 1.0, "seconds": 0.2, "snr_db": 2.0, "silent_share": 0.02, "high_band_db": 1.0}
_LEAST_BAND_DEVIATION = 1.0  # dB

Finite = Annotated[float, Field(allow_inf_nan=False)]
Entry = TypeVar("Entry", bound=BaseModel)


class TrainingDistanceError(ValueError):
    """What a bundle says of its training clips cannot be used; the message names the field."""


@dataclass(frozen=True)
class Distance:
    """How far a recording is from the training clips, in deviations.

    `why` names the figures that are farthest out, the farthest first; it is empty unless the recording is `unlike`
    the training clips.
    """

    score: float
    threshold: float
    why: tuple[str, ...]

    @property
    def unlike(self) -> bool:
        return self.score > self.threshold

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with `unlike`; `from_dict` reads it back."""
        return {"score": self.score, "threshold": self.threshold, "unlike": self.unlike, "why": list(self.why)}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Distance:
        """Raises KeyError where `value` is not what `as_dict` gives."""
        return Distance(value["score"], value["threshold"], tuple(value["why"]))


def farther(first: Distance | None, second: Distance | None) -> Distance | None:
    """Of two distances of one recording that which is farther out, as a share of its threshold; it says why both are
    out. None where neither is known."""
    known = [one for one in (first, second) if one is not None]
    if not known:
        return None
    most = max(known, key=lambda one: one.score / one.threshold)
    return replace(most, why=tuple(name for one in known for name in one.why))


class Spread(BaseModel):
    """Where one figure of the training clips lies, and how far it spreads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    centre: Finite
    deviation: Finite = Field(gt=0)


class TrainingDistance(BaseModel):
    """What a bundle keeps of the figures of its training clips, and the distance from them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clips: int = Field(ge=1)
    figures: dict[str, Spread] = Field(min_length=1)
    threshold: Finite = Field(gt=0)

    @model_validator(mode="after")
    def _is_of_known_figures(self) -> TrainingDistance:
        if unknown := set(self.figures) - {*_LEAST_DEVIATION, *_bands()}:
            raise ValueError(f"names figures that are not measured: {', '.join(sorted(unknown))}")
        return self

    def of(self, figures: Mapping[str, float]) -> Distance:
        """How far a recording with these `figures` is from the training clips."""
        return self._told(*_distance(self.figures, figures))

    def of_stretches(self, stretches: Sequence[Stretch]) -> Distance | None:
        """How far a channel of a long recording is: of its stretches, each as heavy as it sounds for long, that in the
        middle. None where there is none.

        One stretch is a recording as those that are sent alone. How long one of several is, and how much of it is
        silent while others speak, tells nothing of the recording.
        """
        if not stretches:
            return None
        if len(stretches) == 1:
            (only,) = stretches
            return self.of(_figures(only.seconds, only.quality, only.signal))
        found = [(self._of_one_of_several(each), each) for each in stretches]
        ordered = sorted(found, key=lambda one: one[0].score)
        reached = np.cumsum([each.seconds * (1.0 - each.quality.silent_share) for _, each in ordered])
        return ordered[int(np.searchsorted(reached, reached[-1] / 2))][0]

    def _of_one_of_several(self, stretch: Stretch) -> Distance:
        spreads = {name: self.figures[name] for name in self.figures if name not in ("seconds", "silent_share")}
        usual = self.figures.get("silent_share")
        level = stretch.quality.active_dbfs + 10 * math.log10(1.0 - min(0.9, usual.centre if usual else 0.0))
        figures = _figures(stretch.seconds, stretch.quality, stretch.signal) | {"level_dbfs": level}
        return self._told(*_distance(spreads or self.figures, figures))

    def _told(self, score: float, far: Mapping[str, float]) -> Distance:
        named = sorted((name for name in far if far[name] >= _NAMED_FROM), key=lambda name: -far[name])[:_NAMED]
        return Distance(round(score, 3), self.threshold, tuple(named) if score > self.threshold else ())


def figures_of(samples: np.ndarray, quality: Quality | None = None, signal: Signal | None = None) -> dict[str, float]:
    """The figures of mono samples (n,) at 16 kHz, n > 0, by which recordings are compared; `quality` and `signal` where
    they are known already."""
    quality, signal = quality or measure(samples), signal or examine(samples)
    return _figures(len(samples) / SAMPLE_RATE, quality, signal)


def _figures(seconds: float, quality: Quality, signal: Signal) -> dict[str, float]:
    return {
        "level_dbfs": quality.level_dbfs,
        "seconds": seconds,
        "snr_db": signal.snr_db,
        "silent_share": quality.silent_share,
        "high_band_db": signal.high_band_db,
        **dict(zip(_bands(), signal.colour_db, strict=True)),
    }


def describe(clips: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What is to stand in statistics.json of the training clips with these figures: quantiles of each figure and, of
    `LEAST_CLIPS` and more, the entry that `read` reads."""
    names = list(clips[0]) if clips else []
    values = {name: np.array([clip[name] for clip in clips]) for name in names}
    told: dict[str, Any] = {
        name: dict(zip(map(str, QUANTILES), np.quantile(values[name], QUANTILES).tolist(), strict=True))
        for name in names
    }
    if len(clips) < LEAST_CLIPS:
        return told
    threshold = max(LEAST_THRESHOLD, bound_of_new(_left_out_scores(clips, values)))
    return told | {KEY: TrainingDistance(clips=len(clips), figures=_spreads(values), threshold=threshold).model_dump()}


def read(statistics: Mapping[str, Any]) -> TrainingDistance | None:
    """What statistics.json says of the training clips; None in bundles of before. Raises `TrainingDistanceError`."""
    return entry(statistics, KEY, TrainingDistance)


def entry(statistics: Mapping[str, Any], key: str, form: type[Entry]) -> Entry | None:
    """What stands in statistics.json under a key; None where there is no such key. Raises `TrainingDistanceError`."""
    if key not in statistics:
        return None
    try:
        return form.model_validate(statistics[key])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, (key, *first["loc"])))
        raise TrainingDistanceError(f"field {field}: {first['msg']}") from error


def _bands() -> list[str]:
    return [f"band_{hertz}_hz" for hertz in band_centres()]


def _compared(name: str, value: float | np.ndarray) -> Any:
    return np.log2(value) if name == "seconds" else value


def _left_out_scores(clips: Sequence[Mapping[str, float]], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Each clip's distance from the clips of the other folds."""
    fold_of = np.arange(len(clips)) % min(len(clips), _MOST_FOLDS)
    scores = np.empty(len(clips))
    for fold in range(fold_of.max() + 1):
        spreads = _spreads({name: column[fold_of != fold] for name, column in values.items()})
        for index in np.flatnonzero(fold_of == fold).tolist():
            scores[index] = _distance(spreads, clips[index])[0]
    return scores


def bound_of_new(scores: np.ndarray) -> float:
    """What a new recording's score exceeds in one of a hundred cases.

    That is the score of a rank (conformal prediction) where there are enough. Fewer than 99 have no such rank: then it
    is the prediction bound of a log-normal distribution, and no less than the highest score.
    """
    from scipy.stats import t

    rank = math.ceil(_LIKE * (len(scores) + 1))
    if rank <= len(scores):
        return float(np.sort(scores)[rank - 1])
    logs = np.log(np.maximum(scores, _LEAST_SCORE))
    reach = t.ppf(_LIKE, len(logs) - 1) * math.sqrt(1 + 1 / len(logs))
    return max(float(np.exp(logs.mean() + reach * logs.std(ddof=1))), float(scores.max()))


def _spreads(values: Mapping[str, np.ndarray]) -> dict[str, Spread]:
    return {name: _spread(name, _compared(name, column)) for name, column in values.items()}


def _spread(name: str, values: np.ndarray) -> Spread:
    """Median and quartiles, which a few odd clips do not move; of a band mean and deviation, which are of means."""
    least = _LEAST_DEVIATION.get(name)
    if least is None:
        return Spread(centre=float(values.mean()), deviation=max(float(values.std()), _LEAST_BAND_DEVIATION))
    low, middle, high = np.percentile(values, (25, 50, 75))
    return Spread(centre=float(middle), deviation=max(float(high - low) / _NORMAL_QUARTILES, least))


def _distance(spreads: Mapping[str, Spread], figures: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    far = {
        name: float(abs(_compared(name, figures[name]) - spread.centre)) / spread.deviation
        for name, spread in spreads.items()
    }
    halves = [[far[name] for name in far if (name in _LEAST_DEVIATION) == one] for one in (True, False)]
    return float(np.sqrt(np.mean([np.mean(np.square(half)) for half in halves if half]))), far

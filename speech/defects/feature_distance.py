"""How far a recording is from the training clips in the features by which the defect heads judge.

`speech.defects.training_distance` compares the sound: level, noise, length, colour. This compares what the model makes
of it: the mean over a recording's frames of the features of its head for words without marker letters, which hears all
words where it is the only one. Another voice, another language, singing or a slurred tongue may sound like the training
clips and still be heard as none of them was.

The distance is Mahalanobis' in the principal directions of the training clips; what lies outside of them weighs as much
as all of them together. A mean over few frames spreads more than one over many, so a direction's variance has two
parts: that between recordings, however long, and that within them, of which a recording of t seconds has 1/t. Without
the second every short recording is far, and no long one ever is. A recording is unlike the training clips where it is
farther than 99 of 100 recordings are of speakers that had no part in centre, directions and variances (conformal
prediction, speakers left out in turn).

Bundles keep what is needed under `feature_distance` in statistics.json; those of before have no such entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from speech.defects.training_distance import (
    LEAST_CLIPS,
    LEAST_THRESHOLD,
    Distance,
    Finite,
    TrainingDistanceError,
    bound_of_new,
    entry,
)

KEY = "feature_distance"  # of statistics.json
ENCODER_FEATURES = "encoder_features"
"""What `Distance.why` names where a recording is far in its features."""
_MOST_DIRECTIONS = 8  # of 8, 16 and 32 tried on the demo's model, errors on unheard voices were ranked best by 8
_MOST_FOLDS = 20
# The variance between recordings is no less than this share of that within a second: none is told apart more exactly
# than one of 20 s, however alike the training clips are.
_LEAST_BETWEEN = 0.05
_LEAST_VARIANCE = 1e-6
_DIGITS = 6

_Row = Annotated[list[Finite], Field(min_length=1)]


class Variance(BaseModel):
    """Of a mean over a recording of t seconds: `between` + `within` / t."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    between: Finite = Field(gt=0)
    within: Finite = Field(ge=0)

    def after(self, seconds: float) -> float:
        """Of a recording of so many seconds."""
        return self.between + self.within / seconds


class FeatureDistance(BaseModel):
    """What a bundle keeps of the features of its training clips, and the distance from them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clips: int = Field(ge=1)
    centre: _Row
    directions: list[_Row] = Field(min_length=1)
    """Orthonormal, the one along which the training clips differ most first."""
    variances: list[Variance]
    """One a direction."""
    rest: Variance
    """Of the squared length of what lies outside of the directions."""
    threshold: Finite = Field(gt=0)

    @model_validator(mode="after")
    def _fit_together(self) -> FeatureDistance:
        if any(len(direction) != len(self.centre) for direction in self.directions):
            raise ValueError("directions and centre differ in length")
        if len(self.variances) != len(self.directions):
            raise ValueError("there is not one variance a direction")
        return self

    @property
    def width(self) -> int:
        """Features of a recording."""
        return len(self.centre)

    def of(self, features: np.ndarray, seconds: float) -> Distance:
        """How far a recording of so many seconds with these mean features (width,) is from the training clips."""
        away = features.astype(np.float64) - np.array(self.centre)
        directions = np.array(self.directions)
        along = directions @ away
        left = float(away @ away - along @ along)
        squares = [float(one) ** 2 / of.after(seconds) for one, of in zip(along, self.variances, strict=True)]
        return self._told(float(np.sqrt((np.mean(squares) + max(0.0, left) / self.rest.after(seconds)) / 2)))

    def of_windows(self, scores: Sequence[tuple[float, float]]) -> Distance | None:
        """How far a channel of a long recording is: of its windows' scores, each with its weight, that in the middle.
        None where there is none."""
        if not scores:
            return None
        ordered = sorted(scores)
        reached = np.cumsum([weight for _, weight in ordered])
        return self._told(ordered[int(np.searchsorted(reached, reached[-1] / 2))][0])

    def _told(self, score: float) -> Distance:
        return Distance(round(score, 3), self.threshold, (ENCODER_FEATURES,) if score > self.threshold else ())


def describe(features: np.ndarray, seconds: np.ndarray, speakers: Sequence[str]) -> dict[str, Any]:
    """What is to stand in statistics.json of training clips with these mean features (clips, width), of so many
    `seconds` (clips,); nothing of fewer than `LEAST_CLIPS`. An empty name in `speakers` is a speaker of its own.
    """
    if len(features) < LEAST_CLIPS:
        return {}
    features = features.astype(np.float64)
    scores, fold_of = np.empty(len(features)), _folds(speakers)
    for fold in range(fold_of.max() + 1):
        left_out = fold_of == fold
        others = _fitted(features[~left_out], seconds[~left_out])
        for index in np.flatnonzero(left_out).tolist():
            scores[index] = others.of(features[index], float(seconds[index])).score
    threshold = max(LEAST_THRESHOLD, bound_of_new(scores))
    return {KEY: _fitted(features, seconds).model_copy(update={"threshold": threshold}).model_dump()}


def read(statistics: Mapping[str, Any], width: int) -> FeatureDistance | None:
    """What statistics.json says of the training clips' features, of which there are to be `width`; None in bundles of
    before. Raises `TrainingDistanceError`."""
    told = entry(statistics, KEY, FeatureDistance)
    if told is not None and told.width != width:
        raise TrainingDistanceError(f"field {KEY}.centre: {told.width} features, the model has {width}")
    return told


def _folds(speakers: Sequence[str]) -> np.ndarray:
    """Which fold each clip is in: a speaker's clips are in one, of two at least."""
    names = [name or f"clip {index}" for index, name in enumerate(speakers)]
    if len(set(names)) < 2:
        names = list(map(str, range(len(names))))
    order = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] % _MOST_FOLDS for name in names])


def _fitted(features: np.ndarray, seconds: np.ndarray) -> FeatureDistance:
    """Of these clips alone, with the least threshold."""
    centre = features.mean(0)
    away = features - centre
    directions = np.linalg.svd(away, full_matrices=False)[2][:_MOST_DIRECTIONS]
    along = away @ directions.T
    left = np.maximum(0.0, (away**2).sum(1) - (along**2).sum(1))
    return FeatureDistance(
        clips=len(features),
        centre=_rounded(centre),
        directions=[_rounded(direction) for direction in directions],
        variances=[_variance(squares, seconds) for squares in (along**2).T],
        rest=_variance(left, seconds),
        threshold=LEAST_THRESHOLD,
    )


def _variance(squares: np.ndarray, seconds: np.ndarray) -> Variance:
    """The two parts of the variance of clips with these squared distances, by least squares."""
    from scipy.optimize import nnls

    between, within = nnls(np.stack([np.ones_like(seconds), 1 / seconds], 1), squares)[0]
    least = max(_LEAST_BETWEEN * float(within), _LEAST_VARIANCE)
    return Variance(between=max(float(between), least), within=float(within))


def _rounded(values: np.ndarray) -> list[float]:
    return np.round(values, _DIGITS).tolist()

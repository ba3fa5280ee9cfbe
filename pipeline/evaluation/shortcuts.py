"""Shortcuts: what a model could learn of an archive instead of defects.

Where one class was recorded on another telephone, or its sentences are longer, a model may hear the telephone or the
length and look good on that archive alone. So a trivial model is given one plain property of each recording and nothing
else: what it reaches on clips that it has not seen, another model may reach without hearing any defect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.evaluation.bootstrap import interval, resamples
from pipeline.evaluation.groups import macro_f1

FEWEST_CLIPS = 20  # to learn from and, as many again, to judge by; fewer tell nothing
_TREES, _LEAST_LEAF, _LEAF_SHARE = (
    200,
    2,
    40,
)  # a leaf holds at least a fortieth of the clips: steps, not clips by heart
_SHUFFLES = 500
_HIGHEST = 97.5  # percentile of shuffled labels that chance seldom exceeds


@dataclass(frozen=True)
class Shortcut:
    """What one property tells of the classes.

    `macro_f1` has `value` and the 95% interval (`low`, `high`) of a bootstrap over speakers, None where there is one.
    `chance` is what the same answers reach on shuffled labels, on average, and `chance_high` in one of forty shuffles.
    """

    name: str
    macro_f1: dict[str, float | None]
    chance: float
    chance_high: float

    @property
    def tells(self) -> bool:
        """Whether it tells more than chance, also if other speakers had been drawn."""
        sure = self.macro_f1["low"]
        return sure is not None and sure > self.chance_high

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with `tells`."""
        return asdict(self) | {"tells": self.tells}


def audit(
    properties: Mapping[str, np.ndarray],
    truth: np.ndarray,
    training: np.ndarray,
    units: Sequence[str],
    *,
    exclusive: bool = True,
) -> list[Shortcut]:
    """What each property tells of the classes, in the order given; one that is the same in all clips is left out.

    `properties` are numbers (clips, values), NaN where unknown; `truth` is bool (clips, classes), `training` bool
    (clips,): those that the trivial models learn from, where the others judge. `units` name each clip's speaker.
    Nothing is told where either side has fewer than `FEWEST_CLIPS`, or one class alone.
    """
    sides = (training, ~training)
    if min(int(side.sum()) for side in sides) < FEWEST_CLIPS or any((truth[side].any(0)).sum() < 2 for side in sides):
        return []
    judged = [unit for unit, learns in zip(units, training, strict=True) if not learns]
    draws = resamples(judged)
    found = []
    for name, values in properties.items():
        if not _varies(values):
            continue
        said = _answers(values, truth, training, exclusive=exclusive)
        found.append(_measured(name, truth[~training], said, draws))
    return found


def _varies(values: np.ndarray) -> bool:
    return any(len(np.unique(column[~np.isnan(column)])) > 1 for column in values.T)


def _answers(values: np.ndarray, truth: np.ndarray, training: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """What the trivial model says of the clips that it has not learned from: bool (clips, classes)."""
    from sklearn.ensemble import RandomForestClassifier

    least = max(_LEAST_LEAF, int(training.sum()) // _LEAF_SHARE)
    forest = RandomForestClassifier(_TREES, min_samples_leaf=least, class_weight="balanced", random_state=0)
    if not exclusive:
        answers = forest.fit(values[training], truth[training].astype(int)).predict(values[~training])
        return np.asarray(answers, dtype=bool).reshape(-1, truth.shape[1])
    answers = forest.fit(values[training], truth[training].argmax(1)).predict(values[~training])
    return np.asarray(answers)[:, None] == np.arange(truth.shape[1])


def _measured(name: str, truth: np.ndarray, said: np.ndarray, draws: Sequence[np.ndarray]) -> Shortcut:
    rng = np.random.default_rng(0)
    shuffled = [macro_f1(truth[rng.permutation(len(truth))], said) for _ in range(_SHUFFLES)]
    reached = interval(macro_f1(truth, said), np.array([macro_f1(truth[draw], said[draw]) for draw in draws]))
    return Shortcut(name, reached, float(np.mean(shuffled)), float(np.percentile(shuffled, _HIGHEST)))

"""Clips without a defect that become, each time anew, an imitation of one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline.defects.disfluency import paused, stuttered
from pipeline.training.examples import Example


@dataclass(frozen=True)
class Imitation:
    """Makes of clips of class `reference` (an index), with probability `share`, imitations of one of `classes`; all
    others get longer pauses as often, so that a pause tells nothing."""

    reference: int
    classes: tuple[int, ...]
    share: float

    def expected(self, counts: torch.Tensor) -> torch.Tensor:
        """How many clips of each class a pass holds, of the `counts` (classes,) that there are without imitation."""
        moved = self.share * counts[self.reference]
        expected = counts.clone()
        expected[self.reference] -= moved
        expected[list(self.classes)] += moved / len(self.classes)
        return expected

    def __call__(self, example: Example, samples: np.ndarray, rng: np.random.Generator) -> tuple[Example, np.ndarray]:
        """The example as it is now, and its samples. What times and letters it had no longer hold where it changed."""
        if rng.random() >= self.share:
            return example, samples
        label, changed = example.label, None
        if label == self.reference:
            changed, label = stuttered(samples, rng), int(rng.choice(self.classes))
        if changed is None:
            changed, label = paused(samples, rng), example.label
        return replace(example, label=label, words=(), counts=None, letters=()), changed

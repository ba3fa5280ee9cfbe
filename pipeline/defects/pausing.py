"""Clips whose pauses become longer or shorter: how much the voice rests is to tell nothing.

Where an archive's fluent clips rest more than its stuttered ones, or less, a model takes pauses for evidence: trained
on fluent clips that all had pauses put in, it called people's unedited speech stutter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.defects.disfluency import faded, paused, rests
from pipeline.training.examples import Example
from speech.audio.decode import SAMPLE_RATE

_HOP = SAMPLE_RATE // 100  # of `rests`
_SHORT_SECONDS = (0.03, 0.08)  # what is left of a pause
_LEAST_SECONDS = 0.1  # of a rest that is shortened


@dataclass(frozen=True)
class Pausing:
    """Gives labelled clips longer pauses, as often as half of `share` says, 0 to 1, and shorter ones as often.

    Only classes of which `shortened` says so, by index, lose pauses: a block is one, and stays.
    """

    shortened: Sequence[bool]
    share: float

    def __call__(self, example: Example, samples: np.ndarray, rng: np.random.Generator) -> tuple[Example, np.ndarray]:
        """The example as it is now, and its samples (n,), mono float32 at 16 kHz; times of words no longer hold."""
        drawn = rng.random()
        if example.label is None or drawn >= self.share:
            return example, samples
        longer = drawn < self.share / 2
        if not longer and not all(self.shortened[label] for label in example.labels):
            return example, samples
        changed = paused(samples, rng) if longer else tightened(samples, rng)
        return replace(example, words=()), changed


def tightened(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of samples (n,) of whose longer rests some hundredths of a second are left."""
    places = rests(samples) // _HOP
    if not len(places):
        return samples
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    kept, start = [], 0
    for run in runs:
        if len(run) * _HOP < _LEAST_SECONDS * SAMPLE_RATE:
            continue
        left = int(rng.uniform(*_SHORT_SECONDS) * SAMPLE_RATE)
        kept.append(samples[start : run[0] * _HOP + left // 2])
        start = (int(run[-1]) + 1) * _HOP - left // 2
    return np.concatenate([faded(piece) for piece in (*kept, samples[start:])]).astype(np.float32) if kept else samples

"""Whether a cheaper precision answers as fp32 does. Without torch, since bundles keep it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from speech.defects.multilabel import PRESENT_FROM

MOST_DIFFERENT = 0.02  # of a probability from that of fp32
MOST_FLIPPED = 0.005  # share of clips of which another class is named
# Where all of so many clips are answered alike, so are nine of ten recordings, with 95% confidence (0.9^30 = 0.04).
LEAST_CLIPS = 30


@dataclass(frozen=True)
class Agreement:
    """How a precision answers `clips` beside fp32: the greatest `difference` of a probability, how many clips are
    `flipped` to another class, and how many of these fp32 itself was sure of."""

    clips: int
    difference: float
    flipped: int
    flipped_sure: int

    @property
    def holds(self) -> bool:
        """Whether the precision may serve."""
        few = self.flipped <= MOST_FLIPPED * self.clips
        return self.clips >= LEAST_CLIPS and self.difference <= MOST_DIFFERENT and few and not self.flipped_sure

    @property
    def outcome(self) -> str:
        """Whether the precision may serve and what was measured, for people."""
        may = "may serve" if self.holds else "may not serve"
        asked = f", at least {LEAST_CLIPS} are needed" if self.clips < LEAST_CLIPS else ""
        return f"{may} ({self.clips} clips asked{asked}; differs by up to {self.difference:.4f}, flips {self.flipped})"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def agree(reference: np.ndarray, other: np.ndarray, *, exclusive: bool = True) -> Agreement:
    """How probabilities (clips, classes) agree with those of fp32."""
    if not len(reference):
        return Agreement(0, 0.0, 0, 0)
    if exclusive:
        ordered = np.sort(reference, axis=1)
        margin = ordered[:, -1] - ordered[:, -2]
        flipped = reference.argmax(1) != other.argmax(1)
    else:
        changed = (reference >= PRESENT_FROM) != (other >= PRESENT_FROM)
        flipped = changed.any(1)
        margin = np.where(changed, 2 * np.abs(reference - PRESENT_FROM), 0.0).max(1)
    sure = flipped & (margin >= MOST_DIFFERENT)
    return Agreement(len(reference), float(np.abs(reference - other).max()), int(flipped.sum()), int(sure.sum()))

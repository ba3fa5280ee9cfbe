"""The waveform of a recording as a drawing needs it: its extremes in so many stretches of time."""

from __future__ import annotations

import numpy as np

MOST_PEAKS = 2000  # a screen has hardly more columns
_DIGITS = 3


def peaks(samples: np.ndarray, count: int) -> list[list[float]]:
    """The least and the greatest value of mono samples (n,), n > 0, in each of `count` stretches of equal length.

    Fewer samples than that are a stretch each. None for a `count` of 0.
    """
    count = min(count, len(samples))
    if count <= 0:
        return []
    starts = np.arange(count) * len(samples) // count
    extremes = np.stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)], axis=1)
    # Through Python's floats: float32 rounded to three digits is written with eight.
    return [[round(low, _DIGITS), round(high, _DIGITS)] for low, high in extremes.astype(float).tolist()]

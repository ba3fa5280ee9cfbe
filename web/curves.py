"""How a defect's probability moves over time: a straight line through the recordings, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from scipy.special import stdtrit

FEWEST = 5
"""Recordings below which no line is drawn: with fewer its uncertainty covers everything."""
_SURE = 0.95
_STEPS = 30


@dataclass(frozen=True)
class Point:
    """One recording's calibrated probability, 0 to 1."""

    when: datetime
    value: float


@dataclass(frozen=True)
class TrendPoint:
    """The line at a moment, and between what the true line lies with 95% confidence; 0 to 1."""

    when: datetime
    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class Trend:
    """`direction`: falling or rising where the slope differs from none with 95% confidence, else unclear."""

    points: tuple[TrendPoint, ...]
    direction: str


def trend_of(points: Sequence[Point]) -> Trend | None:
    """Least squares with Student's interval for the mean; None for too few recordings or all at one moment."""
    if len(points) < FEWEST:
        return None
    start = min(point.when for point in points)
    days = np.array([(point.when - start).total_seconds() / 86_400 for point in points])
    values = np.array([point.value for point in points])
    centred = days - days.mean()
    spread = float(centred @ centred)
    if spread <= 0:
        return None
    slope = float(centred @ values) / spread
    left = values - values.mean() - slope * centred
    freedom = len(points) - 2
    deviation = float(np.sqrt(left @ left / freedom))
    quantile = float(stdtrit(freedom, (1 + _SURE) / 2))
    where = np.linspace(0.0, float(days.max()), _STEPS)
    middle = values.mean() + slope * (where - days.mean())
    half = quantile * deviation * np.sqrt(1 / len(points) + (where - days.mean()) ** 2 / spread)
    low, high, middle = (np.clip(each, 0, 1) for each in (middle - half, middle + half, middle))
    line = tuple(
        TrendPoint(start + timedelta(days=float(day)), float(mean), float(least), float(most))
        for day, mean, least, most in zip(where, middle, low, high, strict=True)
    )
    clear = abs(slope) > quantile * deviation / np.sqrt(spread) and abs(slope) > 1e-9
    return Trend(line, ("rising" if slope > 0 else "falling") if clear else "unclear")

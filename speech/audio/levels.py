"""How loud a recording is, and how much of it is silent or clipped."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from speech.audio.limits import SAMPLE_RATE, SILENCE_DBFS

FULL_SCALE = 0.999  # samples at or above this share of full scale count as clipped
QUIET_FRAME_SECONDS = 0.02  # one analysis frame of the silence measure
_QUIET_POWER = 10 ** (SILENCE_DBFS / 10)
_FLOOR_DBFS = -120.0  # stands for minus infinity, which JSON cannot hold


@dataclass(frozen=True)
class Quality:
    """How a recording sounds as a signal. Levels are in dBFS (0 is full scale), shares are 0 to 1."""

    level_dbfs: float
    peak_dbfs: float
    clipped_share: float
    silent_share: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def measure(samples: np.ndarray) -> Quality:
    """Level, peak, clipping and silence of mono samples (n,), n > 0, full scale 1.0."""
    levels = Levels()
    levels.add(samples)
    return levels.quality()


class Levels:
    """The quality of sound that comes in pieces, measured as `measure` does that of a whole."""

    def __init__(self) -> None:
        self._samples = self._clipped = self._frames = self._quiet = 0
        self._power = self._peak = 0.0
        self._rest = np.empty(0, np.float32)  # of a frame that is not whole

    def add(self, samples: np.ndarray) -> None:
        """The next mono samples (n,), full scale 1.0."""
        if not len(samples):
            return
        self._samples += len(samples)
        self._power += float(np.sum(np.square(samples, dtype=np.float64)))
        self._peak = max(self._peak, float(np.max(np.abs(samples))))
        self._clipped += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))
        samples = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        frame = int(QUIET_FRAME_SECONDS * SAMPLE_RATE)
        whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
        self._frames += len(whole)
        self._quiet += int(np.count_nonzero(np.mean(np.square(whole, dtype=np.float64), axis=1) < _QUIET_POWER))
        self._rest = samples[whole.size :].copy()

    def quality(self) -> Quality:
        """The quality of all that was added; raises ZeroDivisionError where that is nothing."""
        power = self._power / self._samples
        quiet = self._quiet / self._frames if self._frames else float(power < _QUIET_POWER)
        return Quality(_dbfs(power, 10), _dbfs(self._peak, 20), self._clipped / self._samples, quiet)


def _dbfs(value: float, factor: int) -> float:
    return max(_FLOOR_DBFS, factor * float(np.log10(value))) if value > 0 else _FLOOR_DBFS

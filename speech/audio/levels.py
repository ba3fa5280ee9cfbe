"""How loud a recording is, and how much of it is silent or clipped.

Levels and silence are those of what can be heard: an offset, hum and rumble of a recorder are louder than many voices.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from speech.audio.high_pass import HighPass
from speech.audio.limits import SAMPLE_RATE, SILENCE_DBFS

FULL_SCALE = 0.999  # samples at or above this share of full scale count as clipped
QUIET_FRAME_SECONDS = 0.02  # one analysis frame of the silence measure
_QUIET_POWER = 10 ** (SILENCE_DBFS / 10)
AUDIBLE_HERTZ = 80.0  # of `HighPass`: voices begin there; mains hum is at 50 or 60
_LEAST_SHARE = 1e-6
_FLOOR_DBFS = -120.0  # stands for minus infinity, which JSON cannot hold


@dataclass(frozen=True)
class Quality:
    """How a recording sounds as a signal. Levels are in dBFS (0 is full scale), shares are 0 to 1.

    `level_dbfs` and `silent_share` are of frequencies from `AUDIBLE_HERTZ` on, `peak_dbfs` and `clipped_share` of all.
    """

    level_dbfs: float
    peak_dbfs: float
    clipped_share: float
    silent_share: float

    @property
    def active_dbfs(self) -> float:
        """The level of what is not silent: a word in a minute of silence is as loud as it is."""
        return self.level_dbfs - 10 * float(np.log10(max(1.0 - self.silent_share, _LEAST_SHARE)))

    def is_silent(self, below_dbfs: float) -> bool:
        """Whether nothing is heard in it."""
        return self.silent_share >= 1.0 or self.active_dbfs < below_dbfs

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
        self._rest = np.empty(0)  # of a frame that is not whole
        self._filter = AudibleFilter()

    def add(self, samples: np.ndarray) -> None:
        """The next mono samples (n,), full scale 1.0."""
        if not len(samples):
            return
        self._samples += len(samples)
        self._peak = max(self._peak, float(np.max(np.abs(samples))))
        self._clipped += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))
        heard = self._filter.add(samples)
        self._power += float(np.sum(np.square(heard)))
        heard = np.concatenate([self._rest, heard])
        frame = int(QUIET_FRAME_SECONDS * SAMPLE_RATE)
        whole = heard[: len(heard) // frame * frame].reshape(-1, frame)
        self._frames += len(whole)
        self._quiet += int(np.count_nonzero(np.mean(np.square(whole), axis=1) < _QUIET_POWER))
        self._rest = heard[whole.size :].copy()

    def quality(self) -> Quality:
        """The quality of all that was added; raises ZeroDivisionError where that is nothing."""
        power = self._power / self._samples
        quiet = self._quiet / self._frames if self._frames else float(power < _QUIET_POWER)
        return Quality(_dbfs(power, 10), _dbfs(self._peak, 20), self._clipped / self._samples, quiet)


class AudibleFilter:
    """Leaves out what lies below `AUDIBLE_HERTZ`, of sound that comes in pieces."""

    def __init__(self) -> None:
        self._filter = HighPass()

    def add(self, samples: np.ndarray) -> np.ndarray:
        """The next mono samples (n,) at 16 kHz, n > 0, without it, float64. Those that are not finite are 0."""
        return self._filter.add(np.nan_to_num(samples.astype(np.float64), posinf=0.0, neginf=0.0))


def audible(samples: np.ndarray) -> np.ndarray:
    """Mono samples (n,) at 16 kHz without what lies below `AUDIBLE_HERTZ`, float32."""
    return AudibleFilter().add(samples).astype(np.float32)


def _dbfs(value: float, factor: int) -> float:
    return max(_FLOOR_DBFS, factor * float(np.log10(value))) if value > 0 else _FLOOR_DBFS

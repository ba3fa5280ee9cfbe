"""The channels of a recording as one."""

from __future__ import annotations

import numpy as np


def mixed(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples (n, channels) as (n,)."""
    return samples.mean(axis=1, dtype=np.float32)

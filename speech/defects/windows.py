"""Windows of a clip: a model judges no more at once than the clips that it learned from were long.

Whoever reads two sentences is no more likely to stutter than who reads one. A model that learned from stuttered clips
which are longer, as stuttered speech is, hears length as stutter; so longer clips are cut where they are quietest, and
what is said of them is the mean of what is said of their windows.
"""

from __future__ import annotations

import numpy as np

from speech.audio.limits import SAMPLE_RATE

_SHORTEST, _LEFT = 0.5, 0.3  # of the longest window: of each window, and of what is left for the last one
_QUIET_SECONDS = 0.1  # over which loudness is measured where a cut is looked for


def window_bounds(samples: np.ndarray, seconds: float | None, step: int) -> list[int]:
    """Where windows of samples (n,) at 16 kHz begin, and n at last: from two on. No window is longer than `seconds`;
    None: one window is all. All but the last bound are multiples of `step` samples, the model's frames."""
    length = len(samples)
    longest = length if seconds is None else max(step, int(seconds * SAMPLE_RATE) // step * step)
    bounds = [0]
    if length > longest:
        loudness = _loudness(samples)
        while length - bounds[-1] > longest:
            left = length - bounds[-1]
            first = bounds[-1] + int(_SHORTEST * longest)
            last = bounds[-1] + min(longest, left - int(_LEFT * longest))
            quietest = first + int(np.argmin(loudness[first : max(last, first + 1)]))
            bounds.append(max(bounds[-1] + step, quietest // step * step))
    return [*bounds, length]


def _loudness(samples: np.ndarray) -> np.ndarray:
    """The energy around each sample, (n,)."""
    reach = int(_QUIET_SECONDS * SAMPLE_RATE) // 2
    summed = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    places = np.arange(len(samples))
    return summed[np.minimum(places + reach, len(samples))] - summed[np.maximum(places - reach, 0)]

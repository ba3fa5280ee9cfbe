"""The filter by which sound is measured that can be heard: it leaves out offsets, hum and rumble.

It is SciPy's `sosfilt` of a Chebyshev filter of the second kind, computed by NumPy. SciPy's signals take a second to
import, for which each process that decodes would wait. A block of samples is a product with the filter's impulse
response, plus what is left of the blocks before: five pairs of numbers, carried from block to block.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

# Of order 10, at 16 kHz: 3 dB down at 80 Hz, 58 at 60, 53 and more below.
# SECTIONS = scipy.signal.cheby2(10, 50, 66, "highpass", fs=16_000, output="sos")
# SETTLED = scipy.signal.sosfilt_zi(SECTIONS)
SECTIONS = np.array(
    [
        (0.9443956073933738, -1.8887756882954803, 0.9443956073933736, 1.0, -1.9649260731462341, 0.9652570600928192),
        (1.0, -1.9998615366728023, 0.9999999999999996, 1.0, -1.9681538587761591, 0.9686054976661237),
        (1.0, -1.9996641156245938, 0.9999999999999999, 1.0, -1.9743573878803629, 0.9750054176359283),
        (1.0, -1.9994667140636333, 1.0000000000000002, 1.0, -1.983034446396173, 0.983881167677701),
        (1.0, -1.999344722931892, 0.9999999999999999, 1.0, -1.9934436551123786, 0.9944165039581528),
    ]
)
SETTLED = np.array(
    [
        (-0.8974859288478753, 0.8991157089906465),
        (-0.032528122144075, 0.03297962395009037),
        (-0.006927361516524525, 0.0071136760045378495),
        (-0.0027593591866390097, 0.002835034456043169),
        (-0.0015325580382665733, 0.0015502146030654629),
    ]
)
_BLOCK = 128  # samples


class HighPass:
    """The filter, of sound that comes in pieces."""

    def __init__(self) -> None:
        self._state: np.ndarray | None = None

    def add(self, samples: np.ndarray) -> np.ndarray:
        """The next samples (n,) at 16 kHz, n > 0, float64, finite, without what lies below 80 Hz."""
        known = _matrices()
        if self._state is None:
            self._state = SETTLED.ravel() * samples[0]  # as if an offset had always been there: no step where it begins
        state, count = self._state, len(samples) // _BLOCK
        blocks = samples[: count * _BLOCK].reshape(count, _BLOCK)
        entering = blocks @ known.entering.T
        states = np.empty_like(entering)
        for number in range(count):
            states[number] = state
            state = known.powers[_BLOCK] @ state + entering[number]
        heard = blocks @ known.response.T + states @ known.leaving.T
        rest = samples[count * _BLOCK :]
        length = len(rest)
        tail = known.response[:length, :length] @ rest + known.leaving[:length] @ state
        self._state = known.powers[length] @ state + known.entering[:, _BLOCK - length :] @ rest
        return np.concatenate([heard.ravel(), tail])


class _Matrices(NamedTuple):
    """`powers` (`_BLOCK` + 1, states, states): how the state goes on after so many samples of nothing; `entering`
    (states, `_BLOCK`): what a block adds to it; `leaving` (`_BLOCK`, states): what it adds to a block; `response`
    (`_BLOCK`, `_BLOCK`): what a block is made of by itself."""

    powers: np.ndarray
    entering: np.ndarray
    leaving: np.ndarray
    response: np.ndarray


@cache
def _matrices() -> _Matrices:
    size = 2 * len(SECTIONS)
    following, taken = np.zeros((size, size)), np.zeros(size)
    # What a section is given is what the one before gives: of the state, and of the sample.
    of_state, of_sample = np.zeros(size), 1.0
    for number, (b0, b1, b2, _, a1, a2) in enumerate(SECTIONS):
        first = 2 * number
        following[first] += (b1 - a1 * b0) * of_state
        following[first + 1] += (b2 - a2 * b0) * of_state
        following[first : first + 2, first] -= (a1, a2)
        following[first, first + 1] += 1.0
        taken[first : first + 2] = np.array([b1 - a1 * b0, b2 - a2 * b0]) * of_sample
        of_state = b0 * of_state
        of_state[first] += 1.0
        of_sample *= b0
    powers = [np.eye(size)]
    for _ in range(_BLOCK):
        powers.append(following @ powers[-1])
    entering = np.stack([power @ taken for power in powers[_BLOCK - 1 :: -1]], axis=1)
    leaving = np.stack([of_state @ power for power in powers[:_BLOCK]])
    impulse = np.concatenate([[of_sample], leaving[:-1] @ taken])
    distance = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    response = np.where(distance >= 0, impulse[distance], 0.0)
    return _Matrices(np.stack(powers), entering, leaving, response)

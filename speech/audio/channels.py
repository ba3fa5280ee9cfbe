"""The channels of a recording as one: those in which somebody speaks, and none against another.

A plain mean lets a dead channel halve the voice, and an inverted one cancel it.
"""

from __future__ import annotations

import numpy as np
import soxr

from speech.audio.limits import SAMPLE_RATE
from speech.audio.vad import LEAST_SECONDS, speech_seconds

_LIVE = 10 ** (-20 / 10)  # a channel whose loudest moment has less power than this share of the loudest's is dead
_MOMENT = SAMPLE_RATE // 2  # samples: a word
# Below this lie hum and rumble, which all channels share and which hide how voices stand to each other; above, noise.
_VOICE_HERTZ = (200.0, 4000.0)
_OPPOSED = -0.2  # correlation: independent channels lie around 0, inverted ones near -1, in noise as well
_ALIKE = 0.9  # correlation: what one channel says the other says too
_TINY = 1e-20


def mixed(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples (n, channels) as (n,)."""
    return samples[:, 0] if samples.shape[1] == 1 else weighted(samples, weights(samples, rate))


def weighted(samples: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The sum of channels, samples (n, channels) as (n,), each in its share: (channels,) or (n, channels)."""
    if shares.ndim == 1 and np.all(shares == shares[0]) and shares[0] > 0:
        return np.asarray(samples.mean(axis=1, dtype=np.float32))
    return np.asarray((samples * shares.astype(np.float32)).sum(axis=1, dtype=np.float32))


def weights(samples: np.ndarray, rate: int) -> np.ndarray:
    """The share of each channel in their sum, (channels,): equal among those that are heard, negative for an inverted
    one, 0 for the others; magnitudes add up to 1."""
    sound = samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE)
    count = sound.shape[1]
    voice = _in_band(sound)
    power = _loudest_moment(voice)
    if not (np.isfinite(power).all() and power.max() > _TINY):
        return np.full(count, 1 / count)
    live = np.flatnonzero(power >= _LIVE * power.max())
    if np.abs(_correlations(voice[:, live])).min() < _ALIKE:
        spoken = [channel for channel in live if speech_seconds(sound[:, channel]) >= LEAST_SECONDS]
        live = np.array(spoken or live)
    loudest = int(np.argmax(power[live]))
    shares = np.zeros(count)
    shares[live] = np.where(_correlations(voice[:, live])[loudest] < _OPPOSED, -1.0, 1.0) / len(live)
    return shares


def _correlations(sound: np.ndarray) -> np.ndarray:
    return np.atleast_2d(np.corrcoef(sound, rowvar=False))


def _in_band(sound: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(sound, axis=0)
    hertz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    spectrum[(hertz < _VOICE_HERTZ[0]) | (hertz > _VOICE_HERTZ[1])] = 0.0
    return np.fft.irfft(spectrum, n=len(sound), axis=0)


def _loudest_moment(sound: np.ndarray) -> np.ndarray:
    """The greatest power of each channel in `_MOMENT` samples, (channels,)."""
    starts = np.arange(0, len(sound), _MOMENT)
    return np.asarray(np.add.reduceat(np.square(sound), starts, axis=0).max(axis=0) / _MOMENT)

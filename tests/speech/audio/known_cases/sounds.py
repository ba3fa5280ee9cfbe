"""Sounds in which nobody speaks: mono float32 (n,) at 16 kHz."""

from __future__ import annotations

import numpy as np

from speech.audio.limits import SAMPLE_RATE

_NOTES = (220.0, 261.6, 329.6)  # A3, C4, E4


def _time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def ringing_tone() -> np.ndarray:
    """A second of 425 Hz and two of nothing, three times."""
    once = np.concatenate([0.3 * np.sin(2 * np.pi * 425 * _time(1.0)), np.zeros(2 * SAMPLE_RATE)])
    return np.tile(once, 3).astype(np.float32)


def engaged_tone() -> np.ndarray:
    """425 Hz, on and off each 0.4 s."""
    once = np.concatenate([0.3 * np.sin(2 * np.pi * 425 * _time(0.4)), np.zeros(int(0.4 * SAMPLE_RATE))])
    return np.tile(once, 8).astype(np.float32)


def dialling() -> np.ndarray:
    """Keys of a telephone."""
    pairs = ((697, 1209), (770, 1336), (852, 1477), (941, 1336))
    keys = [0.2 * (np.sin(2 * np.pi * low * _time(0.2)) + np.sin(2 * np.pi * high * _time(0.2))) for low, high in pairs]
    return np.concatenate([np.pad(key, (0, 1600)) for key in keys * 4]).astype(np.float32)


def plucked_strings(seconds: float = 8.0) -> np.ndarray:
    """A chord by Karplus and Strong's loop."""
    generator = np.random.default_rng(0)
    total = np.zeros(round(seconds * SAMPLE_RATE))
    for hertz in _NOTES:
        period = round(SAMPLE_RATE / hertz)
        parts = [generator.uniform(-1, 1, period)]
        while len(parts) * period < len(total):
            parts.append(0.498 * (parts[-1] + np.roll(parts[-1], -1)))
        total += np.concatenate(parts)[: len(total)]
    return (0.3 * total / np.abs(total).max()).astype(np.float32)


def melody() -> np.ndarray:
    """Notes of a square wave, one after the other."""
    notes = [np.sign(np.sin(2 * np.pi * hertz * _time(0.3))) * np.hanning(4800) for hertz in _NOTES * 6]
    return (0.2 * np.concatenate(notes)).astype(np.float32)


def drums() -> np.ndarray:
    """Short bursts of noise, twice a second."""
    generator = np.random.default_rng(0)
    strokes = [generator.standard_normal(8000) * np.exp(-np.arange(8000) / 400) for _ in range(10)]
    return (0.2 * np.concatenate(strokes)).astype(np.float32)


def noise() -> np.ndarray:
    """White noise."""
    return (0.1 * np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE)).astype(np.float32)


NO_SPEECH = {
    each.__name__: each() for each in (ringing_tone, engaged_tone, dialling, plucked_strings, melody, drums, noise)
}

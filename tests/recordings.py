"""Recordings made of numbers, in the forms that people send."""

from __future__ import annotations

import io

import numpy as np
import soundfile

RATE = 16_000


def hum(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """A tone with overtones and noise, float32 of shape (n,): loud enough to be no silence, and no two seeds alike."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 110 + 20 * seed
    tone = sum(np.sin(2 * np.pi * pitch * overtone * time) / overtone for overtone in (1, 2, 3))
    return (0.2 * tone + 0.02 * generator.standard_normal(len(time))).astype(np.float32)


def encoded(samples: np.ndarray, form: str = "WAV", rate: int = RATE) -> bytes:
    """The samples as a file: WAV, MP3, FLAC or OGG."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form)
    return buffer.getvalue()

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


def babble(syllables: int, rate: float, seed: int = 0, pause: float = 0.0) -> np.ndarray:
    """Vowels with hiss between them, float32 of shape (n,): `syllables` at `rate` a second, peak 0.5, half a second of
    silence before and after, and `pause` seconds of it in the middle."""
    generator = np.random.default_rng(seed)
    parts = [np.zeros(RATE // 2)]
    for number in range(syllables):
        if number == syllables // 2:
            parts.append(np.zeros(int(pause * RATE)))
        length = int(RATE / rate)
        time, vowel = np.arange(length) / RATE, int(0.65 * length)
        pitch, formants = generator.uniform(100, 220), generator.uniform((350, 900), (800, 2200))
        tone = sum(
            np.sin(2 * np.pi * pitch * n * time) / (1 + np.min(np.abs(pitch * n - formants)) / 80) for n in range(1, 30)
        )
        sound = np.where(np.arange(length) < vowel, tone, 0.0)
        sound[:vowel] *= np.hanning(vowel) ** 0.5 * generator.uniform(0.05, 0.15)
        sound[vowel:] = generator.standard_normal(length - vowel) * np.hanning(length - vowel) * 0.01
        parts.append(sound)
    parts.append(np.zeros(RATE // 2))
    sound = np.concatenate(parts)
    return (0.5 * sound / np.abs(sound).max() + 1e-4 * generator.standard_normal(len(sound))).astype(np.float32)

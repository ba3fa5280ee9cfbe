"""Decoded sound of all clips in one flat file of int16 samples, mono, 16 kHz, read by memory map."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

import numpy as np

SAMPLES_NAME = "samples.i16"
SAMPLE_TYPE = np.dtype("<i2")
_SCALE = 32768  # soundfile's own, so that 16-bit recordings come back bit for bit


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Float samples (n,), full scale 1.0, as little-endian int16 (n,); what is louder than full scale is clipped."""
    return np.clip(np.rint(samples * _SCALE), -_SCALE, _SCALE - 1).astype(SAMPLE_TYPE)


def to_float32(samples: np.ndarray) -> np.ndarray:
    """int16 samples (n,) as float32 (n,), full scale 1.0."""
    return samples.astype(np.float32) / np.float32(_SCALE)


def content_hash(samples: np.ndarray) -> str:
    """Hex sha256 of int16 samples: equal for equal sound, whatever lossless file it came in."""
    return hashlib.sha256(np.ascontiguousarray(samples, dtype=SAMPLE_TYPE).tobytes()).hexdigest()


class SampleWriter:
    """Appends sound to a sample file; each content is stored once."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._written = 0
        self._offsets: dict[str, int] = {}

    def append(self, content: str, samples: np.ndarray) -> int:
        """Store int16 samples (n,) whose hash is `content`; the offset in samples where they lie."""
        if content not in self._offsets:
            self._file.write(samples.astype(SAMPLE_TYPE, copy=False).tobytes())
            self._offsets[content] = self._written
            self._written += len(samples)
        return self._offsets[content]

    def __enter__(self) -> SampleWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def map_samples(path: Path) -> np.ndarray:
    """The whole sample file as a read-only int16 array (n,) that lies on disk, not in memory."""
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.zeros(0, dtype=SAMPLE_TYPE)
    return np.memmap(path, dtype=SAMPLE_TYPE, mode="r")

"""Sound files of corpora as mono samples at 16 kHz."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from bench.corpora.recipe import Recorded
from speech.audio.decode import SAMPLE_RATE, AudioError, AudioLimits, decode, measure

LIMITS = AudioLimits(min_seconds=0.1)  # a letter's name is short


def decoded(path: Path) -> Recorded:
    """A recording of a usual format. Raises `AudioError` where it holds no sound."""
    return Recorded(decode(path, LIMITS).samples)


def g722(path: Path) -> Recorded:
    """A file of bare G.722, which has no header by which it could be known. Raises `AudioError`."""
    try:
        with av.open(str(path), format="g722") as file:
            blocks = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
    except av.FFmpegError as error:
        raise AudioError("not_audio", f"{path}: {error}") from error
    if sum(map(len, blocks)) < LIMITS.min_seconds * SAMPLE_RATE:
        raise AudioError("too_short", f"{path} is too short")
    samples = np.concatenate(blocks).astype(np.float32) / 32768
    if measure(samples).is_silent(LIMITS.silence_dbfs):
        raise AudioError("silent", f"nothing is heard in {path}")
    return Recorded(samples)

"""Pieces of a recording, of any rates and channels, as one stream at 16 kHz."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from speech.audio.channels import mixed
from speech.audio.limits import SAMPLE_RATE, too_long
from speech.audio.pieces import Piece
from speech.audio.stream import Blocks
from speech.longform.cutter import LongLimits

_ROUNDING_SECONDS = 1e-6  # of sums of seconds


def resampled(blocks: Blocks, limits: LongLimits, each_channel: bool) -> Iterator[tuple[np.ndarray, float]]:
    """Sound (channels that are judged, n) at 16 kHz, and how many seconds it was in the file. Raises `AudioError`
    `too_long`."""
    count = blocks.channels if each_channel else 1
    seconds = 0.0
    resampler = _Resampler(count)
    for piece in blocks:
        seconds += piece.seconds
        if seconds > limits.max_seconds + _ROUNDING_SECONDS:
            raise too_long(limits.max_seconds)
        sound = _with_channels(piece, count) if each_channel else mixed(piece.samples, piece.rate)[:, None]
        yield resampler.add(piece, sound), piece.seconds
    yield resampler.end(), 0.0


class _Resampler:
    """Begins anew with each part of another rate."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._shape: tuple[int, int, int] | None = None
        self._stream: soxr.ResampleStream | None = None

    def add(self, piece: Piece, sound: np.ndarray) -> np.ndarray:
        """The next samples (n, count) at the piece's rate as (count, m) at 16 kHz."""
        before = None
        if piece.shape != self._shape:
            before = self.end()
            self._shape = piece.shape
            if piece.rate != SAMPLE_RATE:
                self._stream = soxr.ResampleStream(piece.rate, SAMPLE_RATE, self._count, dtype="float32")
        if self._stream is not None:
            sound = self._stream.resample_chunk(np.ascontiguousarray(sound))
        after = np.ascontiguousarray(sound.reshape(-1, self._count).T)
        return after if before is None else np.concatenate([before, after], axis=1)

    def end(self) -> np.ndarray:
        """What is left of the last part."""
        if self._stream is None:
            return np.empty((self._count, 0), np.float32)
        rest = self._stream.resample_chunk(np.empty((0, self._count), np.float32), last=True)
        self._stream = None
        return np.ascontiguousarray(rest.reshape(-1, self._count).T)


def _with_channels(piece: Piece, count: int) -> np.ndarray:
    """Samples (n, count): a joined part with one channel is on every side; others keep their sides."""
    samples = piece.samples
    if piece.channels == count:
        return samples
    if piece.channels == 1:
        return np.repeat(samples, count, axis=1)
    kept = samples[:, :count]
    return np.pad(kept, ((0, 0), (0, count - kept.shape[1])))

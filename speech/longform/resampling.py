"""Pieces of a recording, of any rates and channels, as one stream at 16 kHz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import soxr

from speech.audio.channels import weighted, weights
from speech.audio.limits import SAMPLE_RATE
from speech.audio.pieces import Piece, within
from speech.audio.stream import Blocks
from speech.longform.cutter import LongLimits

_STRETCH_SECONDS = 60.0
_MOST_BYTES = 32 << 20
_FADE_SECONDS = 0.01


def resampled(blocks: Blocks, limits: LongLimits, each_channel: bool) -> Iterator[tuple[np.ndarray, float]]:
    """Sound (channels that are judged, n) at 16 kHz, and how many seconds it was in the file. Raises `AudioError`
    `too_long`."""
    count = blocks.channels if each_channel else 1
    resampler = _Resampler(count)
    pieces = within(blocks, limits.max_seconds)
    for piece in pieces if each_channel else _mixed(_gathered(pieces)):
        yield resampler.add(piece, _with_channels(piece, count)), piece.seconds
    yield resampler.end(), 0.0


def _gathered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Pieces of several channels in stretches so long that they show in which of them somebody speaks."""
    waiting: list[Piece] = []

    def joined() -> Piece:
        whole = replace(waiting[0], samples=np.concatenate([piece.samples for piece in waiting]))
        waiting.clear()
        return whole

    for piece in pieces:
        if waiting and piece.shape != waiting[0].shape:
            yield joined()
        if piece.channels == 1:
            yield piece
            continue
        waiting.append(piece)
        size = sum(each.samples.nbytes for each in waiting)
        if size >= _MOST_BYTES or sum(each.seconds for each in waiting) >= _STRETCH_SECONDS:
            yield joined()
    if waiting:
        yield joined()


def _mixed(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces with one channel; where the channels' shares change, they change within `_FADE_SECONDS`."""
    shape, before = None, None
    for piece in pieces:
        if piece.channels == 1:
            yield piece
            continue
        shares = weights(piece.samples, piece.rate)
        if piece.shape != shape or before is None or np.array_equal(shares, before):
            mono = weighted(piece.samples, shares)
        else:
            ramp = np.clip(np.arange(len(piece.samples)) / (_FADE_SECONDS * piece.rate), 0.0, 1.0)[:, None]
            mono = weighted(piece.samples, before + ramp * (shares - before))
        shape, before = piece.shape, shares
        yield replace(piece, samples=mono[:, None])


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

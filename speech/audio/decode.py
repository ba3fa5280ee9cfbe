"""The one decoder, for training and serving: one sample rate, measured quality, a clear refusal of what is no
sound.

`decode` runs in the calling process. Files of strangers go through `speech.audio.isolated`, which calls it in a child
process, so that a crash costs one clip.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import soxr

from speech.audio.channels import mixed
from speech.audio.levels import Levels, Quality, measure
from speech.audio.limits import SAMPLE_RATE, SILENCE_DBFS, AudioError, AudioLimits
from speech.audio.pieces import Piece, within
from speech.audio.speech_guard import Span, spoken_spans
from speech.audio.stream import Blocks

__all__ = [
    "SAMPLE_RATE", "SILENCE_DBFS", "AudioError", "AudioLimits", "Levels", "Quality", "Sound", "decode", "measure",
]  # fmt: skip


@dataclass(frozen=True)
class Sound:
    """Decoded sound: `samples` float32 of shape (n,), mono, 16 kHz; what the file was before; its quality.

    `cut_short`: the end of the recording is missing; `damaged`: something before that does not decode. `spans`: the
    parts that are judged, where others are no speech; none where all is judged. `codec`: the file's container and
    codec.
    """

    samples: np.ndarray
    source_rate: int
    source_channels: int
    quality: Quality
    cut_short: bool = False
    damaged: bool = False
    spans: tuple[Span, ...] = ()
    codec: str = ""

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def speech(self) -> np.ndarray:
        """The samples that are judged, (m,): speech with its pauses."""
        return np.concatenate([self.samples[start:end] for start, end in self.spans]) if self.spans else self.samples

    def moment(self, seconds: float) -> float:
        """When in the recording something is that is so many seconds from the beginning of `speech`."""
        for start, end in self.spans:
            length = (end - start) / SAMPLE_RATE
            if seconds <= length or (start, end) == self.spans[-1]:
                return round(start / SAMPLE_RATE + seconds, 3)
            seconds -= length
        return seconds


def decode(source: bytes | Path, limits: AudioLimits | None = None) -> Sound:
    """Decode a recording to mono float32 at 16 kHz and check it against `limits`.

    Raises `AudioError` with code `empty`, `too_large`, `not_audio`, `too_short`, `too_long` or `silent`, and where
    there are limits for them `bad_sample_rate`, `too_many_channels`, `decodes_too_large` or `no_speech`.
    """
    limits = limits or AudioLimits()
    blocks = Blocks(io.BytesIO(_read(source, limits)), limits)
    # Headers lie (a cut mp3 claims hours), so it is what was decoded that is measured.
    samples = _joined(within(_fitting(blocks, limits.max_decoded_bytes), limits.max_seconds))
    seconds = len(samples) / SAMPLE_RATE
    if seconds < limits.min_seconds:
        raise AudioError("too_short", f"{seconds:.2f} s of sound; at least {limits.min_seconds:g} s are needed")
    if not np.isfinite(samples).all():
        raise AudioError("not_audio", "the file decodes to values that are not finite numbers; export it again")
    quality = measure(samples)
    if quality.is_silent(limits.silence_dbfs):
        raise AudioError("silent", "nothing is heard in the recording; check the microphone and record again")
    spans: list[Span] = []
    if limits.min_speech_seconds:
        spans = spoken_spans(samples, limits.min_speech_seconds, limits.silence_dbfs)
    parts = () if spans == [(0, len(samples))] else tuple(spans)
    return Sound(samples, blocks.rate, blocks.channels, quality, blocks.cut_short, blocks.damaged, parts, blocks.codec)


def _read(source: bytes | Path, limits: AudioLimits) -> bytes:
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size == 0:
        raise AudioError("empty", "the file is empty")
    if size > limits.max_bytes:
        raise AudioError("too_large", f"{size / 1e6:.1f} MB; at most {limits.max_bytes / 1e6:.0f} MB are taken")
    return source if isinstance(source, bytes) else source.read_bytes()


def _fitting(pieces: Iterable[Piece], most_bytes: int | None) -> Iterator[Piece]:
    """The pieces, as long as all together are no larger than `most_bytes`."""
    size = 0
    for piece in pieces:
        size += piece.samples.nbytes
        if most_bytes and size > most_bytes:
            raise AudioError(
                "decodes_too_large",
                f"the sound decodes to more than {most_bytes / 1e6:.0f} MB; export it shorter, mono, or with a lower "
                "sample rate",
            )
        yield piece


def _joined(pieces: Iterable[Piece]) -> np.ndarray:
    """Mono samples (n,) at 16 kHz of pieces that may differ in rate and channels."""
    parts = []
    for (_, rate, _), alike in groupby(pieces, key=lambda piece: piece.shape):
        mono = mixed(np.concatenate([piece.samples for piece in alike]), rate)
        parts.append(mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE))
    return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)

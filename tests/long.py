"""Long recordings of real words, and what is cut from them."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import av
import numpy as np
import soundfile

from speech.audio.decode import SAMPLE_RATE, decode
from speech.longform.cutter import Cutter, Listening, LongLimits, RecordingSummary, Window

SOUNDS = Path(__file__).resolve().parent / "speech" / "sounds"


@cache
def sentence(name: str = "city") -> np.ndarray:
    """`city` or `forest`, a spoken sentence of some two seconds: float32 (n,), 16 kHz, peak 0.5."""
    samples = decode(SOUNDS / f"{name}.ogg").samples
    return 0.5 * samples / np.abs(samples).max()


def room(seconds: float, seed: int = 0) -> np.ndarray:
    """The noise of a quiet room, float32 (n,): -66 dBFS."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))
    return (5e-4 * noise).astype(np.float32)


def joined(*parts: str | float) -> np.ndarray:
    """Sentences by name and pauses by seconds, float32 (n,)."""
    return np.concatenate([room(part) if isinstance(part, (int, float)) else sentence(part) for part in parts])


def written(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE, **how: str) -> Path:
    """Samples (n,) or (n, channels) as a file in the format of its extension."""
    soundfile.write(path, samples, rate, **how)
    return path


def contained(samples: np.ndarray, kind: str, codec: str) -> bytes:
    """Mono samples at 16 kHz in a container of FFmpeg's."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=16_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        queue = av.AudioFifo()
        queue.write(frame)
        while part := queue.read(stream.codec_context.frame_size or 960):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def heard(
    path: Path, listening: Listening | None = None, limits: LongLimits | None = None
) -> tuple[list[Window], RecordingSummary]:
    """All windows of a file, and the summary."""
    with Cutter(path, listening, limits) as cutter:
        return list(cutter), cutter.summary

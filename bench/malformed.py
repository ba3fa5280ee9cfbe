"""Malformed uploads: recordings and forms that are cut off, changed, doubled or made up, each by its own number."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from bench.load import form
from bench.serving import clips

_BOUNDARY = b"vnyatno-bench"  # of `bench.load.form`
_FORMATS = (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("WAV", "ALAW"), ("AIFF", "PCM_24"))


def sounds(archive: Path) -> list[bytes]:
    """Whole recordings in many formats, to be broken."""
    seconds = np.arange(16_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 220 * seconds)).astype(np.float32)
    made = []
    for kind, subtype in _FORMATS:
        file = io.BytesIO()
        soundfile.write(file, tone, 16_000, format=kind, subtype=subtype)
        made.append(file.getvalue())
    return [*made, *clips(archive, 10)]


def broken(data: bytes, rng: random.Random) -> bytes:
    """A recording cut off, with bytes changed, doubled, lost or made up."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 30))):
        at = rng.randrange(max(1, len(damaged)))
        match rng.randrange(6):
            case 0:
                damaged = damaged[:at]
            case 1 if damaged:
                damaged[min(at, len(damaged) - 1)] ^= 1 << rng.randrange(8)
            case 2:
                damaged[at:at] = rng.randbytes(rng.randrange(1, 200))
            case 3:
                del damaged[at : at + rng.randrange(1, 500)]
            case 4:
                damaged[at:at] = damaged[at : at + rng.randrange(1, 4000)]
            case _:  # sizes and counts of headers are mostly here
                head = min(len(damaged), 64)
                damaged[:head] = bytes(rng.choice((0, 255, byte)) for byte in damaged[:head])
    return bytes(damaged)


def malformed(recordings: Sequence[bytes], rng: random.Random) -> bytes:
    """The body of a form around a broken recording; one in four forms is broken itself."""
    names = ("clip.mp3", "", "../../etc/passwd", "a" * 5000, "\\x00", "клип.wav", "%s%n", "con")
    body = form(broken(rng.choice(recordings), rng), rng.choice(names))
    if rng.random() < 0.25:
        body = broken(body, rng)
    if rng.random() < 0.1:
        field = b'\r\nContent-Disposition: form-data; name="peaks"\r\n\r\n' + rng.choice(
            (b"-1", b"nan", b"9" * 400, b"")
        )
        body = b"--" + _BOUNDARY + field + b"\r\n" + body
    return body

"""The small encoder's frames: 50 a second, each seeing 57 ms."""

from __future__ import annotations

import math

from speech.audio.decode import SAMPLE_RATE

FRAME, RECEPTIVE = 320, 920  # samples from frame to frame, and those that one frame sees
UNKNOWN = -100  # of a frame's label: no loss is taken there


def frames_of(samples: int) -> int:
    """How many frames so many samples have."""
    return max(1, (samples - RECEPTIVE) // FRAME + 1)


def frames_between(start: float, end: float, frames: int) -> range:
    """Of `frames` frames those whose middle lies between two moments in seconds."""
    first, last = ((second * SAMPLE_RATE - RECEPTIVE / 2) / FRAME for second in (start, end))
    return range(max(0, math.ceil(first)), min(frames, math.ceil(last)))

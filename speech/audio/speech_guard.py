"""The one guard on whether anybody speaks, and which parts of a recording are speech with its pauses.

A model that hears defects or words in speech hears them in a ringing tone, music and noise as well, and is sure of it.
"""

from __future__ import annotations

import numpy as np

from speech.audio.limits import SAMPLE_RATE, SILENCE_DBFS, AudioError
from speech.audio.vad import FRAME, seconds_of, speaking

_LEAST_SHARE = 0.2  # of a recording that is hardly longer than a word: its ends are heard as no speech
# Between speech and what is no speech. A stretch so long is no pause, no prolonged sound and no block of a stutter, and
# one so loud beside the speech no background.
_OTHER_SECONDS = 2.0
OTHER_DB = -20.0
_PAD_SECONDS = 0.256  # kept around speech: its soft beginnings and ends

Span = tuple[int, int]
"""The first sample and the one after the last."""


def has_speech(speech_seconds: float, seconds: float, least_seconds: float) -> bool:
    """Whether `least_seconds` of a recording are speech, or of a short one a fifth."""
    return speech_seconds >= min(least_seconds, _LEAST_SHARE * seconds)


def no_speech() -> AudioError:
    """The refusal of a recording in which nobody speaks."""
    return AudioError("no_speech", "nobody is heard to speak in the recording; record speech")


def spoken_spans(samples: np.ndarray, least_seconds: float, silence_dbfs: float = SILENCE_DBFS) -> list[Span]:
    """The parts of mono samples (n,), 16 kHz, that are speech with its pauses: all of them, but for long stretches of
    other sound. Raises `AudioError` `no_speech`."""
    spoken = speaking(samples, silence_dbfs)
    if not has_speech(seconds_of(spoken), len(samples) / SAMPLE_RATE, least_seconds):
        raise no_speech()
    power = np.array([np.mean(np.square(samples[at : at + FRAME])) for at in range(0, len(samples), FRAME)], np.float64)
    loud = power >= np.mean(power[spoken]) * 10 ** (OTHER_DB / 10)
    kept = np.ones(len(samples), bool)
    for start, end in runs(~spoken):
        pad = int(_PAD_SECONDS * SAMPLE_RATE)
        first = start * FRAME + (pad if start > 0 else 0)
        last = min(end * FRAME, len(samples)) - (pad if end < len(spoken) else 0)
        if last - first >= _OTHER_SECONDS * SAMPLE_RATE and np.mean(loud[start:end]) > 0.25:
            kept[first:last] = False
    return runs(kept)


def runs(mask: np.ndarray) -> list[Span]:
    """Where a mask (n,) is true: the first of each stretch and the one after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

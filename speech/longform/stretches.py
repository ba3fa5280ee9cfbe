"""What a channel of a recording sounds like, measured in stretches as recordings that are sent alone are measured.

Windows are cut at pauses, so their noise, their silence and their length tell of the cutting and not of the recording.
A recording that could be judged at once is one stretch, measured as `speech.audio.decode` has it judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from speech.audio.decode import SAMPLE_RATE, AudioError, Quality, measure
from speech.audio.quality import Signal, examine
from speech.audio.speech_guard import spoken_spans


@dataclass(frozen=True)
class Stretch:
    """So many seconds of speech with its pauses, and how they sound."""

    seconds: float
    quality: Quality
    signal: Signal

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return asdict(self)

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Stretch:
        """Raises KeyError or TypeError where `value` is not what `as_dict` gives."""
        signal = value["signal"]
        return Stretch(
            value["seconds"],
            Quality(**value["quality"]),
            Signal(signal["snr_db"], signal["high_band_db"], tuple(signal["colour_db"])),
        )


class Stretches:
    """Takes one channel's samples in pieces of any size; what it measures does not depend on how they are cut."""

    def __init__(self, seconds: float, min_speech_seconds: float, silence_dbfs: float) -> None:
        """Stretches are of so many seconds, the last is shorter; `min_speech_seconds` as in `AudioLimits`."""
        self.found: list[Stretch] = []
        self._length = round(seconds * SAMPLE_RATE)
        self._min_speech_seconds, self._silence_dbfs = min_speech_seconds, silence_dbfs
        self._waiting: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """The next samples (n,), mono, 16 kHz."""
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) > self._length:
            sound = np.concatenate(self._waiting)
            while len(sound) > self._length:
                self._measure(sound[: self._length])
                sound = sound[self._length :]
            self._waiting = [sound.copy()]

    def finish(self) -> None:
        """The recording has ended."""
        if self._waiting and len(sound := np.concatenate(self._waiting)):
            self._measure(sound)
        self._waiting = []

    def _measure(self, samples: np.ndarray) -> None:
        if self._min_speech_seconds:
            try:
                spans = spoken_spans(samples, self._min_speech_seconds, self._silence_dbfs)
            except AudioError:  # nobody speaks in it
                return
            samples = np.concatenate([samples[start:end] for start, end in spans])
        quality = measure(samples)
        if not quality.is_silent(self._silence_dbfs):
            self.found.append(Stretch(len(samples) / SAMPLE_RATE, quality, examine(samples)))

"""Recordings of any length to text: overlapping windows are recognised one by one and stitched.

Evaluation and the service both use this, so that what was measured is what is served.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speech.audio.decode import SAMPLE_RATE
from speech.ctc.decoding import Decoder, Transcript
from speech.ctc.folder import Recogniser
from speech.ctc.stitching import Stitcher
from speech.longform.overlap_windows import OVERLAP_SECONDS, WINDOW_SECONDS, windows

__all__ = ["OVERLAP_SECONDS", "WINDOW_SECONDS", "WindowDecoder", "transcribe", "windows"]


_IMPROBABLE = -30.0  # a log probability: not minus infinity, of which sums are no numbers


class WindowDecoder:
    """The text of a recording from the emissions of its windows, as they come.

    What is kept does not grow with the recording but for its words.
    """

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        self._stitcher = Stitcher(recogniser.frame_samples, recogniser.blank)
        self._decoder = Decoder(recogniser)

    def add(self, emissions: np.ndarray, start: int, silenced: Sequence[tuple[int, int]] = ()) -> list[str]:
        """The words that the next window's log probabilities (frames, vocabulary) have decided. `start`: the sample
        with which the window begins. `silenced`: samples of the window in which no word is, as `Window` has them."""
        return self._decoder.add(self._stitcher.add(self._without(silenced, emissions), start))

    def finish(self, seconds: float) -> Transcript:
        """The transcript of the whole, which is so long; its text begins with the words of `add`."""
        self._decoder.add(self._stitcher.finish())
        return self._decoder.finish(seconds)

    def _without(self, silenced: Sequence[tuple[int, int]], emissions: np.ndarray) -> np.ndarray:
        """The emissions, in which the blank alone is probable where sound was silenced: a model may hear words in
        anything."""
        if not silenced:
            return emissions
        emissions, step = emissions.copy(), self._recogniser.frame_samples
        for start, end in silenced:
            frames = slice(-(-start // step), end // step)
            emissions[frames] = _IMPROBABLE
            emissions[frames, self._recogniser.blank] = 0.0
        return emissions


def transcribe(
    recogniser: Recogniser,
    clips: Sequence[np.ndarray],
    batch_size: int = 8,
    window_seconds: float = WINDOW_SECONDS,
    overlap_seconds: float = OVERLAP_SECONDS,
) -> list[Transcript]:
    """What is said in clips of mono float32 at 16 kHz, each (n,), in order; windows of like length are computed
    together, `batch_size` at most. The model must be in evaluation mode."""
    cut = [windows(len(clip), window_seconds=window_seconds, overlap_seconds=overlap_seconds) for clip in clips]
    places = [(clip, number) for clip, ranges in enumerate(cut) for number in range(len(ranges))]
    places.sort(key=lambda place: (len(clips[place[0]]), place))  # a clip's windows stay together, and in order
    begun: dict[int, WindowDecoder] = {}
    made: dict[int, Transcript] = {}
    for begin in range(0, len(places), batch_size):
        batch = places[begin : begin + batch_size]
        sounds = [clips[clip][slice(*cut[clip][number])] for clip, number in batch]
        for (clip, number), emissions in zip(batch, recogniser.emissions(sounds), strict=True):
            decoder = begun.setdefault(clip, WindowDecoder(recogniser))
            decoder.add(emissions, cut[clip][number][0])
            if number + 1 == len(cut[clip]):
                made[clip] = begun.pop(clip).finish(len(clips[clip]) / SAMPLE_RATE)
    return [made[number] for number in range(len(clips))]

"""Recordings of any length to text: overlapping windows are recognised one by one and stitched.

Evaluation and the service both use this, so that what was measured is what is served.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speech.audio.decode import SAMPLE_RATE
from speech.ctc.decoding import Transcript, decode
from speech.ctc.folder import Recogniser
from speech.ctc.stitching import stitch
from speech.longform.overlap_windows import OVERLAP_SECONDS, WINDOW_SECONDS, windows

__all__ = ["OVERLAP_SECONDS", "WINDOW_SECONDS", "join", "transcribe", "windows"]


def join(parts: Sequence[np.ndarray], ranges: Sequence[tuple[int, int]], recogniser: Recogniser) -> np.ndarray:
    """The emissions (frames, vocabulary) of a whole recording from those of its windows; `ranges` are those of
    `windows`.

    Of two neighbours the frames before the join are the first's, those after it the second's.
    """
    joined: list[np.ndarray] = []
    reached = 0  # frames of the whole that `joined` holds
    for number, (part, (start, _)) in enumerate(zip(parts, ranges, strict=True)):
        first = start // recogniser.frame_samples
        if number + 1 == len(parts):
            joined.append(part[reached - first :])
            break
        following = ranges[number + 1][0] // recogniser.frame_samples
        overlap = first + len(part) - following
        begin = max(reached, following)  # a window may reach over more than its neighbour
        common = max(0, min(overlap - (begin - following), len(parts[number + 1]) - (begin - following)))
        left = part[begin - first : begin - first + common]
        right = parts[number + 1][begin - following : begin - following + common]
        cut = begin + stitch(left, right, recogniser.blank)
        joined.append(part[reached - first : cut - first])
        reached = cut
    return np.concatenate(joined)


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
    places.sort(key=lambda place: (len(clips[place[0]]), place))  # a clip's windows stay together
    parts: dict[int, list[np.ndarray]] = {}
    made: dict[int, Transcript] = {}
    for begin in range(0, len(places), batch_size):
        batch = places[begin : begin + batch_size]
        sounds = [clips[clip][slice(*cut[clip][number])] for clip, number in batch]
        for (clip, _), emissions in zip(batch, recogniser.emissions(sounds), strict=True):
            heard = parts.setdefault(clip, [])
            heard.append(emissions)
            if len(heard) == len(cut[clip]):
                joined = join(parts.pop(clip), cut[clip], recogniser)
                made[clip] = decode(joined, recogniser, len(clips[clip]) / SAMPLE_RATE)
    return [made[number] for number in range(len(clips))]

"""Stutter cut into people's recordings, each beside a fluent twin that was cut and joined as often.

The disfluencies are those that training cuts into its own clips (`pipeline.defects.disfluency`), so a pair shows
whether what was learned there is heard in other voices. It does not show that people's own stutter is heard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.defects.disfluency import disfluent, gap, insert, paused, rests
from speech.audio.decode import SAMPLE_RATE

_APART = SAMPLE_RATE // 20  # between bare cuts, so that their fades do not overlap
_QUIET = SAMPLE_RATE * 6 // 100  # of which pauses are made


@dataclass(frozen=True)
class Pair:
    """Two copies (n,) float32 at 16 kHz of one recording, equally long and joined at as many places.

    `spans` are the seconds of the stuttered copy that fluent speech lacks.
    """

    stuttered: np.ndarray
    fluent: np.ndarray
    spans: tuple[tuple[float, float], ...]
    joins: int
    """Of each copy, beyond those of the pauses that both have."""


def pair(samples: np.ndarray, rng: np.random.Generator) -> Pair | None:
    """Cut mono float32 samples (n,) at 16 kHz; None where there is no onset, or no place where the voice rests.

    Both copies get the same longer pauses first. The fluent one then gets, for each disfluency, a pause of its length
    where the voice rests, and bare cuts for the joins that are left.
    """
    common = paused(samples, rng)
    cut = disfluent(common, rng)
    places = rests(common)
    if cut is None or not len(places):
        return None
    stuttered, made = cut
    joins = sum(one.joins for one in made)
    cuts = np.arange(_APART, len(common) - _APART, _APART)
    bare = joins - 2 * len(made)  # a pause has two joins
    if len(cuts) < bare:
        return None
    edits = [(int(place), one.length) for place, one in zip(rng.choice(places, len(made)), made, strict=True)]
    edits += [(int(place), 0) for place in rng.choice(cuts, bare, replace=False)]
    fluent, quiet = common, _quietest(common, places)
    for place, length in sorted(edits, reverse=True):  # from the end: earlier places stay true
        fluent = insert(fluent, place, gap(quiet, length, rng))
    spans = tuple((one.start / SAMPLE_RATE, (one.start + one.length) / SAMPLE_RATE) for one in made)
    return Pair(stuttered, fluent.astype(np.float32), spans, joins)


def _quietest(samples: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The quietest stretch of those around places where the voice rests."""
    around = [samples[place - _QUIET // 2 : place + _QUIET // 2] for place in places if place >= _QUIET // 2]
    return min(around, key=lambda part: float(np.square(part).sum()))

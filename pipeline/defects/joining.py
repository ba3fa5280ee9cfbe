"""Clips with more of the same speaker after them, and fluent clips cut short: how long somebody speaks, and how often
the voice rests, is to tell nothing.

Stuttered speech takes longer than fluent speech, so an archive's stuttered clips are its longest, and a model learns
that whoever reads two sentences stutters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.defects.disfluency import faded, gap, quietest, rests
from pipeline.training.examples import CountedSpan, Example
from speech.audio.decode import SAMPLE_RATE

LEAST_SECONDS = 0.7  # of a piece that is joined on, and of a clip that was cut
_PAUSE_SECONDS = (0.1, 0.7)
_CUT = 0.25  # fluent clips that are cut, for each clip that is joined
_MOST_PIECES = 3


@dataclass(frozen=True)
class Joining:
    """Joins on clips of the same speaker, up to `longest` seconds in all, as often as `share` says, 0 to 1; `partners`
    are the clips that may follow one of a speaker and a class (index). Clips of the class `reference` are cut as well,
    a quarter as often.

    A fluent clip stays fluent whatever part of it is heard; of a clip with a defect nothing is taken away.
    """

    partners: Mapping[tuple[str, int], Sequence[Example]]
    reference: int
    longest: float
    share: float

    @classmethod
    def of(
        cls, examples: Sequence[Example], reference: int, marked: Sequence[bool], longest: float, share: float
    ) -> Joining:
        """`marked` says of each class whether letters tell it: then it is a trait, and fluent speech of the same person
        does not follow; after a stutter it does."""
        by_class: dict[tuple[str, int], list[Example]] = {}
        for example in examples:
            if example.labels and not example.also:
                by_class.setdefault((example.speaker, example.labels[0]), []).append(example)
        partners = {}
        for (speaker, label), own in by_class.items():
            fluent = [] if label == reference or marked[label] else by_class.get((speaker, reference), [])
            partners[speaker, label] = [*own, *fluent]
        return cls(partners, reference, longest, share)

    def __call__(self, example: Example, samples: np.ndarray, rng: np.random.Generator) -> tuple[Example, np.ndarray]:
        """The example as it is now, and its samples (n,), mono float32 at 16 kHz."""
        drawn = rng.random()
        if example.label is None or example.also or drawn >= self.share * (1 + _CUT):
            return example, samples
        if drawn >= self.share:
            return self._cut(example, samples, rng) if example.label == self.reference else (example, samples)
        wanted = rng.uniform(0.0, self.longest)
        others = [one for one in self.partners.get((example.speaker, example.label), ()) if one.clip != example.clip]
        for _ in range(_MOST_PIECES):
            pause = rng.uniform(*_PAUSE_SECONDS)
            room = wanted - len(samples) / SAMPLE_RATE - pause
            if not others or room < LEAST_SECONDS:
                break
            other = others[int(rng.integers(len(others)))]
            piece = other.load()
            whole = len(piece) <= room * SAMPLE_RATE
            if not whole:
                if other.label != self.reference:
                    continue
                piece = _start_of(piece, room)
            if len(piece):
                example, samples = _joined(example, samples, other if whole else None, piece, pause, rng)
        return example, samples

    def _cut(self, example: Example, samples: np.ndarray, rng: np.random.Generator) -> tuple[Example, np.ndarray]:
        piece = _start_of(samples, rng.uniform(LEAST_SECONDS, len(samples) / SAMPLE_RATE))
        if not len(piece):
            return example, samples
        words = tuple(word for word in example.words if word.end * SAMPLE_RATE <= len(piece))
        return replace(example, words=words, counts=None, letters=()), piece


def _start_of(samples: np.ndarray, seconds: float) -> np.ndarray:
    """A clip up to the last place before `seconds` where the voice rests; nothing where there is none."""
    places = rests(samples)
    fitting = places[(places >= LEAST_SECONDS * SAMPLE_RATE) & (places <= seconds * SAMPLE_RATE)]
    return faded(samples[: int(fitting[-1])]) if len(fitting) else samples[:0]


def _joined(
    example: Example,
    samples: np.ndarray,
    other: Example | None,
    piece: np.ndarray,
    pause: float,
    rng: np.random.Generator,
) -> tuple[Example, np.ndarray]:
    """Two clips with a pause; of `other` everything is known where all of it follows, else None."""
    between = gap(quietest(samples), round(pause * SAMPLE_RATE), rng)  # digital silence would be a sign
    start = (len(samples) + len(between)) / SAMPLE_RATE
    later: tuple[CountedSpan, ...] = ()
    counts = None
    letters: tuple[int, ...] = ()
    if other is not None:
        later = tuple(replace(word, start=word.start + start, end=word.end + start) for word in other.words)
        if example.counts is not None and other.counts is not None:
            counts = tuple(a + b for a, b in zip(example.counts, other.counts, strict=True))
        if example.letters and other.letters:
            letters = (*example.letters, *other.letters)
    whole = np.concatenate([faded(samples), between, faded(piece)]).astype(np.float32)
    return replace(example, words=(*example.words, *later), counts=counts, letters=letters), whole

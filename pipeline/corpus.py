"""Clips and marker letters joined: what training learns from and evaluation judges by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.evaluation.predictions import Judged
from pipeline.labels import read_markers, read_reference
from pipeline.training.examples import CountedSpan, Example
from speech.markers import ClipMarkers


@dataclass(frozen=True)
class Corpus:
    """A clip set and, by clip id, its marker letters; `letters` in the model's order.

    `reference` holds the counts of clips whose true text is known; evaluation judges by them before it believes the
    transcripts, training does not look at them.
    """

    clips: ClipSet
    markers: Mapping[str, ClipMarkers]
    letters: Sequence[str]
    reference: Mapping[str, Mapping[str, int]]

    @classmethod
    def load(cls, clips: Path, markers: Path, letters: Sequence[str]) -> Corpus:
        """From the folders of the stages `clips` and `markers`."""
        return cls(ClipSet.load(clips), read_markers(markers), letters, read_reference(markers))

    def examples(self, split: str) -> list[Example]:
        """The clips of a split for training, labelled or not."""
        return [self._example(record) for record in self.clips.of_split(split)]

    def judged(self, records: Sequence[ClipRecord]) -> list[Judged]:
        """Labelled clips for evaluation."""
        return [
            Judged(
                clip=record.id,
                content=record.content,
                label=record.label,
                speaker=record.speaker,
                counts=self._true_counts(record),
                load=lambda record=record: self.clips.samples(record),  # type: ignore[misc]
            )
            for record in records
            if record.label is not None
        ]

    def mean_counts(self, split: str) -> dict[str, float]:
        """Mean letters a clip over the clips of a split whose counts are known; empty where none is."""
        known = [counts for record in self.clips.of_split(split) if (counts := self._true_counts(record)) is not None]
        return {letter: sum(c[letter] for c in known) / len(known) for letter in self.letters} if known else {}

    def _true_counts(self, record: ClipRecord) -> dict[str, int] | None:
        known = self.reference.get(record.id)
        return self._counts(record) if known is None else dict(known)

    def _counts(self, record: ClipRecord) -> dict[str, int] | None:
        found = self.markers.get(record.id)
        return None if found is None or found.counts is None else dict(found.counts)

    def _example(self, record: ClipRecord) -> Example:
        found = self.markers.get(record.id)
        words = found.words if found is not None else ()
        counts = self._counts(record)
        return Example(
            clip=record.id,
            load=lambda: self.clips.samples(record),
            seconds=record.seconds,
            label=None if record.label is None else self.clips.classes.index(record.label),
            words=tuple(CountedSpan(w.start, w.end, self._order(w.counts)) for w in words if w.confident),
            counts=None if counts is None else self._order(counts),
        )

    def _order(self, counts: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(counts[letter] for letter in self.letters)

"""Clips and marker letters joined: what training learns from and evaluation judges by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.defects.predictions import CountedClip, LabelledClip
from pipeline.defects.weak_labels import read_markers, read_reference
from pipeline.training.examples import CountedSpan, Example
from speech.text.language import Language, load_language
from speech.text.letters import spelling
from speech.whisper.markers import ClipMarkers


class CountTruth(StrEnum):
    """By what counting is judged: the transcripts that training learned from, or the true text in the table."""

    transcript = "transcript"
    text = "text"


@dataclass(frozen=True)
class Corpus:
    """A clip set and, by clip id, its marker letters; `letters` in the model's order.

    `reference` holds the counts of clips whose true text is known; training does not look at them.
    """

    clips: ClipSet
    markers: Mapping[str, ClipMarkers]
    letters: Sequence[str]
    reference: Mapping[str, Mapping[str, int]]
    folder: Path = Path()  # of the markers

    @classmethod
    def load(cls, clips: Path, markers: Path, letters: Sequence[str]) -> Corpus:
        """From the folders of the stages `clips` and `markers`."""
        return cls(ClipSet.load(clips), read_markers(markers), letters, read_reference(markers), markers)

    def examples(self, split: str) -> list[Example]:
        """The clips of a split for training, labelled or not."""
        return [self._example(record) for record in self.clips.of_split(split)]

    def judged(self, records: Sequence[ClipRecord]) -> list[LabelledClip]:
        """Labelled clips for evaluation."""
        return [
            LabelledClip(
                clip=record.id,
                content=record.content,
                label=record.label,
                also=record.also,
                speaker=self.clips.speaker(record),
                group=record.group,
                counts=self._counts(record, CountTruth.transcript),
                load=self._loader(record),
                seconds=record.seconds,
            )
            for record in records
            if record.label is not None
        ]

    def counted(self, split: str, truth: CountTruth) -> list[CountedClip]:
        """The clips of a split whose counts are known, labelled or not."""
        known = ((record, self._counts(record, truth)) for record in self.clips.of_split(split))
        return [
            CountedClip(record.id, counts, self._loader(record), seconds=record.seconds)
            for record, counts in known
            if counts is not None
        ]

    def mean_counts(self, split: str, truth: CountTruth) -> dict[str, float]:
        """Mean letters a clip over the clips of a split whose counts are known; empty where none is."""
        known = [clip.counts for clip in self.counted(split, truth) if clip.counts is not None]
        return {letter: sum(c[letter] for c in known) / len(known) for letter in self.letters} if known else {}

    def text(self, clip: str) -> str | None:
        """What is said in a clip, by its id: the table's text, else the transcript where all of it can be trusted; None
        where neither is known."""
        record, found = self._by_id[clip], self.markers.get(clip)
        return record.text or (None if found is None else found.text)

    @cached_property
    def _by_id(self) -> dict[str, ClipRecord]:
        return {record.id: record for record in self.clips.records}

    def _loader(self, record: ClipRecord) -> Callable[[], np.ndarray]:
        return lambda: self.clips.samples(record)

    def _counts(self, record: ClipRecord, truth: CountTruth) -> dict[str, int] | None:
        if truth is CountTruth.text:
            known = self.reference.get(record.id)
            return None if known is None else dict(known)
        found = self.markers.get(record.id)
        return None if found is None or found.counts is None else dict(found.counts)

    def _example(self, record: ClipRecord) -> Example:
        found = self.markers.get(record.id)
        words = found.words if found is not None else ()
        counts = self._counts(record, CountTruth.transcript)
        return Example(
            clip=record.id,
            load=self._loader(record),
            seconds=record.seconds,
            label=None if record.label is None else self.clips.classes.index(record.label),
            also=tuple(self.clips.classes.index(name) for name in record.also),
            words=tuple(
                CountedSpan(word.start, word.end, self._order(word.counts), spelling(word.text, self._language))
                for word in words
                if word.confident
            ),
            counts=None if counts is None else self._order(counts),
            letters=() if found is None or found.text is None else spelling(found.text, self._language),
            speaker=self.clips.speaker(record) or "",
        )

    @cached_property
    def _language(self) -> Language:
        return load_language(self.clips.language)

    def _order(self, counts: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(counts[letter] for letter in self.letters)

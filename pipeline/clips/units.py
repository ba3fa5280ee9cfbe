"""Clips that must share a split: all of a speaker's, or one recording where no speaker is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.clips.errors import ClipsError
from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import Registry, speaker_key
from pipeline.clips.settings import SPLITS

_NAMED = 10  # offenders that a message names


class SplitColumnError(ClipsError):
    """The table's split column puts one speaker on both sides, or contradicts what earlier runs did."""


@dataclass(frozen=True)
class Unit:
    """Clips of one speaker of one archive, or (`speaker` None) a single clip whose speaker is unknown.

    `known` is the split it is bound to by the registry, `wanted` what the split column says.
    """

    namespace: str
    speaker: str | None
    clips: tuple[ClipRecord, ...]
    known: str | None
    wanted: str | None

    @property
    def key(self) -> str:
        """Unique among the units of a run."""
        return f"content {self.clips[0].content}" if self.speaker is None else f"{self.namespace}/{self.speaker}"

    @property
    def labelled(self) -> bool:
        return any(clip.label is not None for clip in self.clips)

    def counts(self, classes: Sequence[str]) -> np.ndarray:
        """Clips per class, shape (classes,); a clip of several classes counts for each."""
        return np.array([sum(name in clip.labels for clip in self.clips) for name in classes], dtype=np.int64)


def build_units(records: Iterable[ClipRecord], registry: Registry, use_column: bool) -> tuple[list[Unit], list[str]]:
    """Group clips into units, look each up in the registry; units and notes for the report.

    A speaker who is new by name but all of whose known recordings were in one split stays there: the same archive
    may come under another name. Raises `SplitColumnError` where a speaker is on both sides.
    """
    grouped: dict[tuple[str, str | None, str], list[ClipRecord]] = {}
    for record in records:
        speaker = None if record.speaker is None else speaker_key(record.speaker)
        grouped.setdefault((record.archive, speaker, "" if speaker else record.content), []).append(record)
    units, torn, resplit = [], [], 0
    for (namespace, speaker, _), clips in grouped.items():
        sides = {clip.split for clip in clips if clip.split is not None} if use_column else set()
        if len(sides) > 1:
            torn.append(_torn(namespace, clips))
        before = [registry.of_content(clip.content, clip.sha256) for clip in clips]
        seen = {split for split in before if split is not None}
        known = registry.of_speaker(namespace, speaker) if speaker else None
        if known is None and len(seen) == 1:
            known = seen.pop()
        resplit += sum(split not in (None, known) for split in before)
        units.append(Unit(namespace, speaker, tuple(clips), known, min(sides, default=None)))
    if torn:
        raise SplitColumnError(
            "the split column puts speakers on both sides, so that a test would be of known voices: "
            f"{'; '.join(torn[:_NAMED])}. Give each speaker one split, or set use_split_column to false"
        )
    notes = []
    if resplit:
        notes.append(
            f"{resplit} recordings were in another split in an earlier run, before their speakers were known: "
            "models of that time have heard them, so do not go on from their encoders"
        )
    return units, notes


def allowed_splits(units: Iterable[Unit], shares: Mapping[str, float]) -> dict[str | None, tuple[str, ...]]:
    """What the split column's values allow.

    Each value means itself. A split that the column never names, but that has a share, is taken out of its training
    side. Units without a value (None) may go to every split that has a share.
    """
    named = {unit.wanted for unit in units if unit.wanted is not None}
    used = [split for split in SPLITS if shares[split] > 0]
    allowed: dict[str | None, tuple[str, ...]] = {split: (split,) for split in SPLITS}
    allowed["train"] = ("train", *(split for split in used if split not in named and split != "train"))
    allowed[None] = tuple(used)
    return allowed


def refuse_contradictions(units: Iterable[Unit], allowed: Mapping[str | None, tuple[str, ...]]) -> None:
    """Raise `SplitColumnError` where the split column would move what an earlier run assigned."""
    moved = [
        f"{unit.key if unit.speaker else unit.clips[0].file} is in {unit.known}, the column says {unit.wanted}"
        for unit in units
        if unit.known is not None and unit.wanted is not None and unit.known not in allowed[unit.wanted]
    ]
    if moved:
        raise SplitColumnError(
            f"the split column moves {len(moved)} speakers or recordings that earlier runs have split, and models have "
            f"heard: {'; '.join(moved[:_NAMED])}. Correct the column, set use_split_column to false, or train in a new "
            "VNYATNO_HOME"
        )


def _torn(namespace: str, clips: Sequence[ClipRecord]) -> str:
    first = {clip.split: clip for clip in reversed(clips) if clip.split is not None}
    sides = ", ".join(sorted(f"{split} (row {clip.row})" for split, clip in first.items()))
    return f"{namespace}/{clips[0].speaker}: {sides}"

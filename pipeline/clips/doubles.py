"""Recordings that hold the same sound: kept once, or not at all where their labels disagree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from pipeline.clips.records import ClipRecord, Double, Fault

_WORD = re.compile(r"\w+")

Said = Callable[[ClipRecord], tuple[str, ...]]
"""What the table says a clip is; empty where it says nothing."""


def labels_of(record: ClipRecord) -> tuple[str, ...]:
    """A clip's classes."""
    return record.labels


def text_of(record: ClipRecord) -> tuple[str, ...]:
    """A clip's text, its words alone: case and punctuation do not contradict."""
    return () if record.text is None else (" ".join(_WORD.findall(record.text.casefold())),)


def resolve_doubles(
    records: Iterable[ClipRecord], said: Said = labels_of
) -> tuple[list[ClipRecord], list[Double], list[Fault], list[str]]:
    """Keep one clip of each sound.

    Doubles with equal labels (or none) give way to the first that has a label, and a speaker if any has one. Doubles
    that disagree in the label (or whatever `said` gives of them) are all quarantined: nobody can say which is right.
    Gives clips, doubles, faults, notes.
    """
    groups: dict[str, list[ClipRecord]] = {}
    for record in records:
        groups.setdefault(record.content, []).append(record)
    kept: list[ClipRecord] = []
    doubles: list[Double] = []
    faults: list[Fault] = []
    notes: list[str] = []
    for group in groups.values():
        if len({said(record) for record in group} - {()}) > 1:
            faults.extend(_disagreement(record, group, said) for record in group)
            continue
        best = min(group, key=lambda record: (not said(record), record.speaker is None))
        kept.append(best)
        others = [record for record in group if record is not best]
        doubles.extend(Double(record.archive, record.row, record.file, best.id) for record in others)
        speakers = {(record.archive, record.speaker) for record in group if record.speaker is not None}
        if len({archive for archive, _ in speakers}) < len(speakers):
            names = ", ".join(sorted(f"{archive}/{speaker}" for archive, speaker in speakers))
            notes.append(f"{_place(best)}: the same sound is listed for several speakers ({names}); this one is kept")
    return kept, doubles, faults, notes


def _disagreement(record: ClipRecord, group: Sequence[ClipRecord], said: Said) -> Fault:
    others = "; ".join(
        f"{_place(other)} says {' and '.join(said(other))}" for other in group if other is not record and said(other)
    )
    own = " and ".join(said(record)) or "nothing"
    message = f"the same sound is labelled differently: this row says {own}, {others}; keep the right one"
    return Fault(record.archive, record.row, record.file, "double_disagrees", message)


def _place(record: ClipRecord) -> str:
    return f"{record.archive} {f'row {record.row}' if record.row is not None else record.file}"

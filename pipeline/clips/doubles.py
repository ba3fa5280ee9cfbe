"""Recordings that hold the same sound: kept once, or not at all where their labels disagree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.clips.records import ClipRecord, Double, Fault


def resolve_doubles(
    records: Iterable[ClipRecord],
) -> tuple[list[ClipRecord], list[Double], list[Fault], list[str]]:
    """Keep one clip of each sound.

    Doubles with equal labels (or none) give way to the first that has a label, and a speaker if any has one. Doubles
    that disagree in the label are all quarantined: nobody can say which is right. Gives clips, doubles, faults, notes.
    """
    groups: dict[str, list[ClipRecord]] = {}
    for record in records:
        groups.setdefault(record.content, []).append(record)
    kept: list[ClipRecord] = []
    doubles: list[Double] = []
    faults: list[Fault] = []
    notes: list[str] = []
    for group in groups.values():
        labels = {record.labels for record in group if record.label is not None}
        if len(labels) > 1:
            faults.extend(_disagreement(record, group) for record in group)
            continue
        best = min(group, key=lambda record: (record.label is None, record.speaker is None))
        kept.append(best)
        others = [record for record in group if record is not best]
        doubles.extend(Double(record.archive, record.row, record.file, best.id) for record in others)
        speakers = {(record.archive, record.speaker) for record in group if record.speaker is not None}
        if len({archive for archive, _ in speakers}) < len(speakers):
            names = ", ".join(sorted(f"{archive}/{speaker}" for archive, speaker in speakers))
            notes.append(f"{_place(best)}: the same sound is listed for several speakers ({names}); this one is kept")
    return kept, doubles, faults, notes


def _disagreement(record: ClipRecord, group: Sequence[ClipRecord]) -> Fault:
    others = "; ".join(
        f"{_place(other)} says {' and '.join(other.labels)}"
        for other in group
        if other is not record and other.label is not None
    )
    said = " and ".join(record.labels) or "nothing"
    message = f"the same sound is labelled differently: this row says {said}, {others}; keep the right one"
    return Fault(record.archive, record.row, record.file, "double_disagrees", message)


def _place(record: ClipRecord) -> str:
    return f"{record.archive} {f'row {record.row}' if record.row is not None else record.file}"

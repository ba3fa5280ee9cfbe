"""The clip set: the clips stage as one function, and its output as later stages read it.

Its files: `clips.jsonl` (one `ClipRecord` a line), `samples.i16` (decoded sound of all clips, int16, mono, 16 kHz, read
by memory map), `meta.json` (classes, language, what is known of the speakers), `splits.json` (what the registry is
told), `report.json`, `report.md`, `durations.png`, `classes.png`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.clips.decoded import MakeDecoder, Progress
from pipeline.clips.errors import ClipsError
from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import Registry, commit, load_registry, speaker_key
from pipeline.clips.report import Report
from pipeline.clips.samples import SAMPLES_NAME, map_samples, to_float32
from pipeline.clips.settings import CorpusSettings
from pipeline.clips.shortcuts import audit_clips
from pipeline.clips.splits import plan_splits
from pipeline.clips.validation import Source, Vocabulary, validate
from pipeline.clips.verdict import judge
from speech.audio.decode import SAMPLE_RATE
from speech.files import read_json, write_atomically, write_json

CLIPS_NAME, META_NAME, SPLITS_NAME = "clips.jsonl", "meta.json", "splits.json"
_FORMAT = 1


@dataclass(frozen=True)
class ClipSummary:
    """What the clips stage did, for metadata; the report in the folder says more."""

    clips: int
    labelled: int
    quarantined: int
    doubles: int
    minutes: float
    speakers: int
    speakers_known: bool
    counts: dict[str, dict[str, int]]
    """Split -> class (or unlabelled) -> clips."""
    fault_kinds: dict[str, int]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ClipSet:
    """A finished clips folder. Sound is read from disk as it is asked for."""

    folder: Path
    records: tuple[ClipRecord, ...]
    classes: tuple[str, ...]
    language: str
    speakers_known: bool
    meta: dict[str, Any] = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> ClipSet:
        """Read a folder that `build_clips` made."""
        meta = read_json(folder / META_NAME)
        lines = (folder / CLIPS_NAME).read_text(encoding="utf-8").split("\n")
        records = tuple(ClipRecord.from_dict(json.loads(line)) for line in lines if line)
        return cls(folder, records, tuple(meta["classes"]), meta["language"], meta["speakers_known"], meta)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its folder's path: a pickled memory map would be a copy of all sound in every data loader."""
        return ClipSet.load, (self.folder,)

    @property
    def exclusive(self) -> bool:
        """Whether every labelled clip has exactly one class."""
        return bool(self.meta.get("exclusive", True))

    @cached_property
    def _all_samples(self) -> np.ndarray:
        return map_samples(self.folder / SAMPLES_NAME)

    def samples(self, record: ClipRecord) -> np.ndarray:
        """Sound of a clip: float32 (n,), mono, 16 kHz, full scale 1.0; a copy."""
        return to_float32(self._all_samples[record.offset : record.offset + record.length])

    @cached_property
    def _speakers(self) -> dict[tuple[str, str], str]:
        """Archive and key of each speaker to the name, as first written, that no other speaker of the set has."""
        several = len({record.archive for record in self.records}) > 1
        found: dict[tuple[str, str], str] = {}
        for record in self.records:
            if record.speaker is not None:
                name = f"{record.archive}/{record.speaker}" if several else record.speaker
                found.setdefault((record.archive, speaker_key(record.speaker)), name)
        return found

    def speaker(self, record: ClipRecord) -> str | None:
        """Who speaks in a clip, by a name that tells speakers of several archives apart; None where unknown."""
        return None if record.speaker is None else self._speakers[record.archive, speaker_key(record.speaker)]

    def of_split(self, split: str, labelled: bool | None = None) -> tuple[ClipRecord, ...]:
        """Clips of a split; with `labelled` only those with, or without, a label."""
        return tuple(
            record for record in self.records if record.split == split and labelled in (None, record.label is not None)
        )


def build_clips(
    sources: Sequence[Source],
    out: Path,
    *,
    vocabulary: Vocabulary,
    language: str,
    settings: CorpusSettings,
    registry: Path,
    labels_required: bool = True,
    failure_report: Path | None = None,
    progress: Progress | None = None,
    make_decoder: MakeDecoder | None = None,
    workers: int | None = None,
) -> ClipSummary:
    """Make a clip set of unpacked archives in the existing, empty folder `out`.

    The speaker registry is read, not written: `commit_splits` does that once the stage has succeeded. Where the
    archives cannot be used the report is written all the same, to `out` and to `failure_report` (a folder), and a
    `ClipsError` is raised that says what to do.
    """
    findings = validate(
        sources,
        out / SAMPLES_NAME,
        vocabulary,
        settings,
        progress=progress,
        make_decoder=make_decoder,
        workers=workers,
    )
    classes = tuple(vocabulary.classes)
    try:
        judge(findings, settings, labels_required, "label" if vocabulary.text_fault is None else "text")
        plan = plan_splits(
            findings.records, classes, settings, load_registry(registry), labels_required=labels_required
        )
    except ClipsError as error:
        _report_failure(Report(findings, classes, verdict=str(error)), out, failure_report)
        raise
    report = Report(findings, classes, plan)
    samples = map_samples(out / SAMPLES_NAME)
    own = [record for record in report.records if record.id in plan.splits]
    shortcuts = audit_clips(own, samples, classes, exclusive=vocabulary.exclusive)
    report = replace(report, shortcuts=tuple(shortcuts))
    report.write(out)
    lines = "".join(json.dumps(record.as_dict(), ensure_ascii=False) + "\n" for record in report.records)
    write_atomically(out / CLIPS_NAME, lines)
    write_json(out / SPLITS_NAME, {"speakers": plan.news.speakers, "contents": plan.news.contents})
    meta = {
        "format": _FORMAT,
        "classes": classes,
        "exclusive": vocabulary.exclusive,
        "language": language,
        "sample_rate": SAMPLE_RATE,
        "speakers_known": plan.speakers_known,
        "archives": [source.namespace for source in sources],
        "options": settings.model_dump(mode="json"),
        "notes": report.notes,
        "shortcuts": [row.as_dict() for row in shortcuts],
    }
    write_json(out / META_NAME, meta)
    return _summary(report)


def commit_splits(folder: Path, registry: Path) -> None:
    """Tell the registry the splits of a clip set. Idempotent; do it before anything is trained on the set.

    Raises `RegistryError` where another run gave a speaker another split meanwhile: the set must be made anew.
    """
    commit(registry, Registry(**read_json(folder / SPLITS_NAME)))


def _report_failure(report: Report, *folders: Path | None) -> None:
    for folder in folders:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            report.write(folder)


def _summary(report: Report) -> ClipSummary:
    records, plan = report.records, report.plan
    kinds: dict[str, int] = {}
    for fault in report.findings.faults:
        kinds[fault.code] = kinds.get(fault.code, 0) + 1
    return ClipSummary(
        clips=len(records),
        labelled=sum(record.label is not None for record in records),
        quarantined=len(report.findings.faults),
        doubles=len(report.findings.doubles),
        minutes=round(sum(record.seconds for record in records) / 60, 2),
        speakers=sum(len(known) for known in plan.news.speakers.values()) if plan else 0,
        speakers_known=plan.speakers_known if plan else False,
        counts=report.counts(),
        fault_kinds=kinds,
        notes=list(report.notes),
    )

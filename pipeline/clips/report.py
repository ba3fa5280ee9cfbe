"""The validation report: what was found, what was left out and why, as JSON for machines and Markdown for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.clips.plots import UNLABELLED, plot_classes, plot_durations
from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import speaker_key
from pipeline.clips.settings import SPLITS, TRAINING
from pipeline.clips.shortcuts import section, told
from pipeline.clips.splits import SplitPlan
from pipeline.clips.validation import Findings
from pipeline.evaluation.shortcuts import Shortcut
from pipeline.markdown import cell, table
from speech.files import write_atomically, write_json

REPORT_JSON, REPORT_MARKDOWN = "report.json", "report.md"
DURATIONS_PLOT, CLASSES_PLOT = "durations.png", "classes.png"
REPORT_FILES = (REPORT_JSON, REPORT_MARKDOWN, DURATIONS_PLOT, CLASSES_PLOT)
_UNSPLIT = "not split"
_CLIPPING = 0.01  # a hundredth of the samples at full scale is heard as distortion
_MOSTLY_SILENT = 0.5
_ROWS_SHOWN = 200  # of each table in Markdown; the JSON holds all of them
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True)
class Report:
    """A validation report. Without a plan the clips were not split, and `verdict` says why the run cannot go on."""

    findings: Findings
    classes: tuple[str, ...]
    plan: SplitPlan | None = None
    verdict: str | None = None
    shortcuts: tuple[Shortcut, ...] = ()

    @cached_property
    def records(self) -> tuple[ClipRecord, ...]:
        """The usable clips, each with its split; companions' clips come last."""
        findings, plan = self.findings, self.plan
        if plan is None:
            return tuple(replace(record, split=None) for record in (*findings.records, *findings.companions))
        own = tuple(replace(record, split=plan.splits[record.id]) for record in findings.records)
        return (*own, *(replace(record, split=TRAINING) for record in findings.companions))

    @property
    def notes(self) -> tuple[str, ...]:
        several = sum(len(record.labels) > 1 for record in self.findings.records)
        counted = (f"{several} clips have several labels and are counted under each of them",) if several else ()
        plan = self.plan.notes if self.plan else ()
        return (*self.findings.notes, *plan, *counted, *told(self.shortcuts))

    def counts(self) -> dict[str, dict[str, int]]:
        """Clips per split and class; a clip of several classes counts for each."""
        return self._count(lambda records: len(records))

    def speakers(self) -> dict[str, dict[str, int]]:
        """Known speakers per split and class."""
        return self._count(lambda records: len({_speaker(record) for record in records} - {None}))

    def minutes(self) -> dict[str, dict[str, float]]:
        """Minutes of sound per split and class."""
        return self._count(lambda records: round(sum(record.seconds for record in records) / 60, 2))

    def _count(self, measure: Any) -> dict[str, dict[str, Any]]:
        records = self.records
        splits = SPLITS if self.plan else (_UNSPLIT,)
        return {
            split: {
                name: measure(
                    [r for r in records if (r.split or _UNSPLIT) == split and name in (r.labels or (UNLABELLED,))]
                )
                for name in (*self.classes, UNLABELLED)
            }
            for split in splits
        }

    def quality(self) -> dict[str, Any]:
        """Lengths and levels as quantiles, and how many clips sound doubtful."""
        records = self.findings.records
        return {
            "seconds": _quantiles([record.seconds for record in records]),
            "level_dbfs": _quantiles([record.level_dbfs for record in records]),
            "clipped": sum(record.clipped_share > _CLIPPING for record in records),
            "mostly_silent": sum(record.silent_share > _MOSTLY_SILENT for record in records),
            "source_rates": dict(Counter(str(record.source_rate) for record in records).most_common()),
            "channels": dict(Counter(str(record.channels) for record in records).most_common()),
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything, for `report.json`."""
        return {
            "verdict": self.verdict or "usable",
            "usable": self.verdict is None,
            "speakers_known": self.plan.speakers_known if self.plan else None,
            "sources": [asdict(source) for source in self.findings.sources],
            "clips": self.counts(),
            "speakers": self.speakers(),
            "minutes": self.minutes(),
            "quality": self.quality(),
            "shortcuts": [row.as_dict() for row in self.shortcuts],
            "notes": list(self.notes),
            "faults": [asdict(fault) for fault in self.findings.faults],
            "doubles": [asdict(double) for double in self.findings.doubles],
        }

    def markdown(self) -> str:
        """The report as a person reads it."""
        parts = ["# Validation report", f"**{'Usable' if self.verdict is None else 'Not usable'}.**"]
        if self.verdict:
            parts.append(f"```text\n{self.verdict}\n```")
        parts += [self._sources(), *self._counted(), self._quality()]
        parts.append(section([row.as_dict() for row in self.shortcuts]))
        if self.notes:
            parts.append("## Notes\n\n" + "\n".join(f"- {cell(note)}" for note in self.notes))
        parts += [self._faults(), self._doubles()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def write(self, folder: Path) -> None:
        """Write `report.json`, `report.md`, and the two plots if there is anything to plot."""
        write_json(folder / REPORT_JSON, self.as_dict())
        write_atomically(folder / REPORT_MARKDOWN, self.markdown())
        if self.findings.records:
            plot_durations(folder / DURATIONS_PLOT, [record.seconds for record in self.findings.records])
            plot_classes(folder / CLASSES_PLOT, self.counts())

    def _sources(self) -> str:
        header = ("archive", "table", "encoding", "delimiter", "columns", "rows", "audio files", "without a row")
        rows = [
            (
                source.namespace,
                source.table or "none",
                source.encoding or "",
                {"\t": "tab", None: ""}.get(source.delimiter, source.delimiter),
                ", ".join(f"{role} = {column}" for role, column in source.columns.items()),
                source.rows,
                source.audio_files,
                source.loose,
            )
            for source in self.findings.sources
        ]
        return "## Archives\n\n" + table(header, rows)

    def _counted(self) -> list[str]:
        header = ("split", *self.classes, UNLABELLED)
        return [
            f"## {title}\n\n" + table(header, [(split, *of.values()) for split, of in counts.items()])
            for title, counts in (
                ("Clips", self.counts()),
                ("Speakers", self.speakers()),
                ("Minutes", self.minutes()),
            )
        ]

    def _quality(self) -> str:
        if not self.findings.records:
            return ""
        quality = self.quality()
        lines = [
            f"- length, s (least, 5 %, median, 95 %, greatest): {_joined(quality['seconds'])}",
            f"- level, dBFS (the same): {_joined(quality['level_dbfs'])}",
            f"- clips with more than {_CLIPPING:.0%} of their samples clipped: {quality['clipped']}",
            f"- clips of which more than {_MOSTLY_SILENT:.0%} is silence: {quality['mostly_silent']}",
            f"- sample rates before resampling, Hz: {_counted_values(quality['source_rates'])}",
            f"- channels before mixing: {_counted_values(quality['channels'])}",
        ]
        return "## Sound\n\n" + "\n".join(lines)

    def _faults(self) -> str:
        faults = self.findings.faults
        if not faults:
            return "## Left out\n\nNothing."
        kinds = Counter(fault.code for fault in faults).most_common()
        rows = [(f.archive, "" if f.row is None else f.row, f.file, f.code, f.message) for f in faults]
        listed = table(("archive", "row", "file", "problem", "what is wrong"), rows[:_ROWS_SHOWN])
        more = f"\n\n{len(rows) - _ROWS_SHOWN} more are in {REPORT_JSON}." if len(rows) > _ROWS_SHOWN else ""
        return f"## Left out: {len(faults)}\n\n{table(('problem', 'count'), kinds)}\n\n{listed}{more}"

    def _doubles(self) -> str:
        doubles = self.findings.doubles
        if not doubles:
            return ""
        rows = [(d.archive, "" if d.row is None else d.row, d.file, d.of) for d in doubles[:_ROWS_SHOWN]]
        header = ("archive", "row", "file", "same sound as clip")
        return f"## Doubles, kept once: {len(doubles)}\n\n{table(header, rows)}"


def _speaker(record: ClipRecord) -> tuple[str, str] | None:
    return None if record.speaker is None else (record.archive, speaker_key(record.speaker))


def _quantiles(values: Sequence[float]) -> list[float]:
    return [round(float(value), 2) for value in np.quantile(values, _QUANTILES)] if values else []


def _joined(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _counted_values(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value} ({count})" for value, count in counts.items())

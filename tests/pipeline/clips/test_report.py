"""The report says everything, in JSON and Markdown, and keeps what users wrote from breaking its tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pipeline.clips.contents import SourceFindings
from pipeline.clips.records import ClipRecord, Double, Fault
from pipeline.clips.registry import Registry
from pipeline.clips.report import Report
from pipeline.clips.splits import SplitPlan
from pipeline.clips.validation import Findings

CLIP = ClipRecord(
    id="a",
    archive="one",
    file="data_mp3/train/a.wav",
    row=2,
    sha256="a",
    content="a",
    label="burr",
    speaker="Anna",
    text=None,
    group=None,
    split=None,
    seconds=30.0,
    source_rate=44_100,
    channels=2,
    level_dbfs=-20.0,
    peak_dbfs=0.0,
    clipped_share=0.05,
    silent_share=0.8,
    offset=0,
    length=480_000,
)
SOURCE = SourceFindings("one", "data_train.csv", "cp1251", "\t", {"file": "Файл"}, 4, 0, 5, 1)
FINDINGS = Findings(
    sources=(SOURCE,),
    records=(
        CLIP,
        replace(CLIP, id="b", speaker="anna", seconds=60.0),
        replace(CLIP, id="c", label=None, speaker=None, clipped_share=0.0, silent_share=0.0),
    ),
    faults=(Fault("one", 4, "x|y<script>.wav", "no_audio", "there is no\naudio file"),),
    doubles=(Double("one", 5, "copy.wav", "a"),),
    notes=("a note",),
)
PLAN = SplitPlan({"a": "test", "b": "test", "c": "train"}, Registry(), False, ("speakers unknown: 1 clips name none",))


def test_counts_by_split_class_and_speaker() -> None:
    report = Report(FINDINGS, ("none", "burr"), PLAN)
    assert report.counts() == {
        "train": {"none": 0, "burr": 0, "unlabelled": 1},
        "validation": {"none": 0, "burr": 0, "unlabelled": 0},
        "test": {"none": 0, "burr": 2, "unlabelled": 0},
    }
    assert report.speakers()["test"]["burr"] == 1
    assert report.speakers()["train"]["unlabelled"] == 0
    assert report.minutes()["test"]["burr"] == 1.5


def test_quality_counts_doubtful_clips() -> None:
    quality = Report(FINDINGS, ("none", "burr"), PLAN).quality()
    assert (quality["clipped"], quality["mostly_silent"]) == (2, 2)
    assert quality["seconds"] == [30.0, 30.0, 30.0, 57.0, 60.0]
    assert quality["source_rates"] == {"44100": 3}


def test_markdown_tells_it_all_and_cells_cannot_break_it() -> None:
    text = Report(FINDINGS, ("none", "burr"), PLAN).markdown()
    assert "**Usable.**" in text
    assert "| one | data_train.csv | cp1251 | tab | file = Файл | 4 | 5 | 1 |" in text
    assert "| one | 4 | x\\|y&lt;script>.wav | no_audio | there is no audio file |" in text
    assert "| one | 5 | copy.wav | a |" in text
    assert "- speakers unknown: 1 clips name none" in text
    assert "more than 1% of their samples clipped: 2" in text


def test_long_lists_are_cut_in_markdown_and_whole_in_json(tmp_path: Path) -> None:
    faults = tuple(Fault("one", row, f"{row}.wav", "no_audio", "gone") for row in range(250))
    report = Report(replace(FINDINGS, faults=faults), ("none", "burr"), PLAN)
    report.write(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| 199.wav |" in text
    assert "| 200.wav |" not in text
    assert "50 more are in report.json" in text
    assert len(json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["faults"]) == 250


def test_a_report_without_splits_says_why(tmp_path: Path) -> None:
    report = Report(FINDINGS, ("none", "burr"), verdict="class none cannot be split")
    report.write(tmp_path)
    value = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert value["usable"] is False
    assert value["verdict"] == "class none cannot be split"
    assert value["clips"] == {"not split": {"none": 0, "burr": 2, "unlabelled": 1}}
    assert "class none cannot be split" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert (tmp_path / "classes.png").exists()


def test_nothing_found_is_reported_without_plots(tmp_path: Path) -> None:
    Report(Findings((SOURCE,), (), (), (), ()), ("none",), verdict="nothing").write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]

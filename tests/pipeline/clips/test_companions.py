"""Archives that are heard in training beside a user's own, and judge nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.archive.namespaces import companion_names, namespaces
from pipeline.archive.settings import ArchiveSettings
from pipeline.clips.contents import Source, Vocabulary
from pipeline.clips.dataset import ClipSet, build_clips, commit_splits
from pipeline.clips.registry import load_registry
from pipeline.clips.settings import ClipSettings

Rows = list[tuple[str, ...]]
MakeArchive = Callable[..., Path]
NATURAL = [(f"n{number}.wav", label, f"anna{number}", "") for number, label in enumerate(["none", "stutter", "none"])]


@pytest.fixture
def build(tmp_path: Path, vocabulary: Vocabulary) -> Callable[..., ClipSet]:
    def run(own: Path, beside: Path, **changes: object) -> ClipSet:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        settings = ClipSettings(min_speech_seconds=0, min_clips_per_class=1)
        registry = tmp_path / "registry" / "speakers.json"
        sources = [Source("own", own), Source("companion-1-natural", beside, companion=True)]
        arguments = {
            "vocabulary": vocabulary,
            "language": "ru",
            "settings": settings,
            "registry": registry,
            "workers": 1,
        }
        build_clips(sources, out, **(arguments | changes))  # type: ignore[arg-type]
        return ClipSet.load(out)

    return run


Build = Callable[..., ClipSet]


def splits_of(clips: ClipSet, archive: str) -> dict[str, str | None]:
    return {Path(record.file).name: record.split for record in clips.records if record.archive == archive}


def test_they_are_heard_in_training_alone(archive: MakeArchive, balanced: Rows, build: Build, tmp_path: Path) -> None:
    own, natural = archive(balanced), archive(NATURAL, name="natural", first=100)
    clips = build(own, natural)
    assert splits_of(clips, "companion-1-natural") == dict.fromkeys(("n0.wav", "n1.wav", "n2.wav"), "train")
    natural_alone = build(own, archive([], name="empty"))
    assert splits_of(clips, "own") == splits_of(natural_alone, "own")
    commit_splits(clips.folder, tmp_path / "registry" / "speakers.json")
    assert set(load_registry(tmp_path / "registry" / "speakers.json").speakers) == {"own"}


def test_their_other_classes_are_left_out_and_no_fault(
    archive: MakeArchive, balanced: Rows, build: Build, vocabulary: Vocabulary
) -> None:
    rows = [*NATURAL, *((f"l{number}.wav", "lisp", "anna", "") for number in range(30))]
    clips = build(archive(balanced), archive(rows, name="natural", first=100))
    assert set(splits_of(clips, "companion-1-natural")) == {"n0.wav", "n1.wav", "n2.wav"}
    report = json.loads((clips.folder / "report.json").read_text(encoding="utf-8"))
    assert report["faults"] == []
    assert "companion-1-natural: 30 clips of classes that this run does not have are left out" in report["notes"]


def test_a_clip_that_both_hold_is_the_users_own(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    """Even where its label is another: the user's archive is not put in doubt."""
    own = archive(balanced)
    natural = archive([("same.wav", "burr", "anna", "")], name="natural")  # the sound of the first row, s0_none
    clips = build(own, natural)
    assert splits_of(clips, "companion-1-natural") == {}
    assert len(clips.records) == len(balanced)


def test_a_bad_file_among_them_is_told(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    natural = archive(NATURAL, name="natural", first=100)
    (natural / "data_mp3" / "train" / "n1.wav").write_bytes(b"no sound")
    clips = build(archive(balanced), natural)
    report = json.loads((clips.folder / "report.json").read_text(encoding="utf-8"))
    assert [(fault["archive"], fault["code"]) for fault in report["faults"]] == [("companion-1-natural", "not_audio")]


def test_their_names_are_nobody_elses() -> None:
    settings = ArchiveSettings(sources=["samples/natural.zip"], companions=["samples/natural.zip", "https://a/b.zip"])
    assert namespaces(settings) == ["natural"]
    assert companion_names(settings) == ["companion-1-natural", "companion-2-b"]

"""Clips that are told by their text: the same reading, splitting and registry as the defects', without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.clips.contents import Source
from pipeline.clips.dataset import ClipSet, ClipSummary, build_clips, commit_splits
from pipeline.clips.registry import Registry, commit, load_registry
from pipeline.clips.settings import ClipSettings
from pipeline.clips.splits import ClassTooSmallError
from pipeline.clips.verdict import NothingToTrainError, TooManyFaultsError
from pipeline.clips.vocabulary import vocabulary
from pipeline.recognition.settings import AsrClipSettings
from pipeline.recognition.vocabulary import transcribed_vocabulary
from speech.files import read_json
from speech.text.language import load_language
from tests.pipeline.recognition.corpora import spoken, wav, write_folder

Build = Callable[..., tuple[ClipSet, ClipSummary]]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "speakers.json"


@pytest.fixture
def build(tmp_path: Path, registry: Path) -> Build:
    def run(folder: Path, **changes: Any) -> tuple[ClipSet, ClipSummary]:
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        out.mkdir()
        settings = AsrClipSettings(**{"language": "en", "min_speech_seconds": 0, **changes})
        summary = build_clips(
            [Source("one", folder)],
            out,
            vocabulary=transcribed_vocabulary(settings, load_language(settings.language)),
            language=settings.language,
            settings=settings,
            registry=registry,
        )
        commit_splits(out, registry)
        return ClipSet.load(out), summary

    return run


def split_of(data: ClipSet) -> dict[str | None, set[str | None]]:
    found: dict[str | None, set[str | None]] = {}
    for record in data.records:
        found.setdefault(record.speaker, set()).add(record.split)
    return found


def test_four_speakers_give_every_split_one(build: Build, tmp_path: Path) -> None:
    data, summary = build(write_folder(tmp_path / "a", spoken(4, 5)))
    splits = split_of(data)
    assert all(len(sides) == 1 for sides in splits.values())
    assert sorted(side or "" for (side,) in splits.values()) == ["test", "train", "train", "validation"]
    assert data.classes == ("speech",)
    assert data.language == "en"
    assert data.speakers_known
    assert summary.labelled == summary.clips == 20


def test_no_speakers_go_by_content(build: Build, tmp_path: Path) -> None:
    rows = [(file, text) for file, text, _ in spoken(4, 10)]
    data, summary = build(write_folder(tmp_path / "a", rows, ("file", "text")))
    assert {split: row["speech"] for split, row in summary.counts.items()} == {"train": 28, "validation": 6, "test": 6}
    assert not data.speakers_known


@pytest.mark.parametrize("speakers", [1, 2])
def test_too_few_speakers_go_by_content_and_the_notes_say_so(
    speakers: int, build: Build, tmp_path: Path, registry: Path
) -> None:
    data, summary = build(write_folder(tmp_path / "a", spoken(speakers, 20)))
    assert {record.split for record in data.records} == {"train", "validation", "test"}
    assert not data.speakers_known
    assert any("split by content, so the test is of voices heard in training" in note for note in summary.notes)
    assert {record.speaker for record in data.records} == {f"s{who}" for who in range(speakers)}
    assert load_registry(registry).speakers == {}
    assert split_of(build(write_folder(tmp_path / "b", spoken(speakers, 20)))[0]) == split_of(data)


def test_known_speakers_keep_their_split(build: Build, tmp_path: Path, registry: Path) -> None:
    """Whoever the defects' recipe tests on is never learnt from, however the shares come out."""
    before = {"s0": "test", "s1": "test", "s2": "validation"}
    commit(registry, Registry({"one": before}, {}))
    data, _ = build(write_folder(tmp_path / "a", spoken(5, 4)))
    splits = split_of(data)
    assert {who: splits[who] for who in before} == {who: {split} for who, split in before.items()}
    assert splits["s3"] == splits["s4"] == {"train"}


def test_one_known_speaker_is_not_torn(build: Build, tmp_path: Path, registry: Path) -> None:
    commit(registry, Registry({"one": {"s0": "test"}}, {}))
    with pytest.raises(ClassTooSmallError, match="keep their split from earlier runs"):
        build(write_folder(tmp_path / "a", spoken(1, 20)))


def test_the_registry_learns_of_no_one_without_a_text(build: Build, tmp_path: Path, registry: Path) -> None:
    """A speaker put into training for want of a text would be lost to the defects' tests."""
    folder = write_folder(tmp_path / "a", [*spoken(4, 6), ("x.wav", "", "silent")])
    (folder / "data_mp3" / "train" / "loose.wav").write_bytes(wav(99))
    data, summary = build(folder)
    assert set(load_registry(registry).speakers["one"]) == {"s0", "s1", "s2", "s3"}
    assert len(load_registry(registry).contents) == 2 * len(data.records) == 48
    assert any("1 audio files are in no row and are left out" in note for note in summary.notes)


def test_labels_are_not_required_of_any_split(build: Build, tmp_path: Path) -> None:
    rows = [(*row, "whatever" if row[2] == "s0" else "") for row in spoken(4, 4)]
    data, summary = build(write_folder(tmp_path / "a", rows, ("file", "text", "speaker", "label")))
    assert {record.label for record in data.records} == {"speech"}
    assert {record.labels for record in data.records} == {("speech",)}
    assert summary.notes == []


def test_the_defects_splits_that_follow_still_have_every_class(build: Build, tmp_path: Path, registry: Path) -> None:
    """Three of twelve speakers burr, and the table's label column says so: each split gets one of them."""
    rows = [(*row, "burr" if row[2] in {"s3", "s6", "s8"} else "норма") for row in spoken(12, 4)]
    folder = write_folder(tmp_path / "a", rows, ("file", "text", "speaker", "label"))
    data, _ = build(folder)
    out = tmp_path / "defects"
    out.mkdir()
    settings = ClipSettings(classes=["none", "burr"], min_speech_seconds=0)
    summary = build_clips(
        [Source("one", folder)],
        out,
        vocabulary=vocabulary(settings, load_language("ru")),
        language="ru",
        settings=settings,
        registry=registry,
    )
    assert all(row["burr"] >= 4 for row in summary.counts.values())
    defects = ClipSet.load(out)
    assert {record.id: record.split for record in defects.records} == {r.id: r.split for r in data.records}


def test_bad_texts_are_left_out_and_named(build: Build, tmp_path: Path) -> None:
    rows = [*spoken(4, 10), ("x.wav", "", "s0"), ("y.wav", "βeta", "s1")]
    data, summary = build(write_folder(tmp_path / "a", rows))
    assert summary.fault_kinds == {"empty_text": 1, "foreign_letters": 1}
    told = [(fault["row"], fault["message"]) for fault in read_json(data.folder / "report.json")["faults"]]
    assert told[0] == (42, "text: the cell is empty")
    assert told[1] == (43, "text: the Greek letter β is not in the alphabet of English (en)")


def test_too_many_bad_texts_fail(build: Build, tmp_path: Path, registry: Path) -> None:
    rows = [*spoken(4, 4), *((f"x{number}.wav", "", "s0") for number in range(4))]
    with pytest.raises(TooManyFaultsError, match=r"4 of 20 rows(.|\n)*row 18 \(x0.wav\): text: the cell is empty"):
        build(write_folder(tmp_path / "a", rows))
    assert not registry.exists()


def test_a_table_without_texts_names_the_column(build: Build, tmp_path: Path) -> None:
    rows = [(file, who) for file, _, who in spoken(4, 4)]
    with pytest.raises(NothingToTrainError, match=r"clip with a text(.|\n)*no text column; .*one of: text, transcript"):
        build(write_folder(tmp_path / "a", rows, ("file", "speaker")))


def test_equal_sound_with_another_text_is_doubtful(build: Build, tmp_path: Path) -> None:
    rows = [*spoken(4, 10), ("x.wav", "three", "s0"), ("y.wav", "One, two: 0!", "s0")]
    folder = write_folder(tmp_path / "a", rows)
    audio = folder / "data_mp3" / "train"
    (audio / "x.wav").write_bytes((audio / "s1_0.wav").read_bytes())
    (audio / "y.wav").write_bytes((audio / "s0_0.wav").read_bytes())
    data, summary = build(folder)
    assert summary.fault_kinds == {"double_disagrees": 2}
    assert summary.doubles == 1  # it says the same but for case and punctuation
    assert len(data.records) == 39


def test_short_clips_are_left_out(build: Build, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", [*spoken(4, 5), ("x.wav", "one", "s0")])
    (folder / "data_mp3" / "train" / "x.wav").write_bytes(wav(77, 0.55))
    _, summary = build(folder)
    assert summary.clips == 20
    assert summary.quarantined == 1

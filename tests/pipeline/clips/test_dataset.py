"""The clips stage from real files to a finished set, and every bad input it must survive or refuse."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from pipeline.clips.contents import Source, Vocabulary
from pipeline.clips.dataset import ClipSet, ClipSummary, build_clips, commit_splits
from pipeline.clips.errors import ClipsError
from pipeline.clips.registry import load_registry
from pipeline.clips.settings import SPLITS, ClipSettings
from pipeline.clips.splits import ClassTooSmallError
from pipeline.clips.units import SplitColumnError
from pipeline.clips.verdict import NothingToTrainError, TooManyFaultsError
from speech.audio.isolated import Decoder
from speech.process.worker import Worker

Rows = list[tuple[str, ...]]
MakeArchive = Callable[..., Path]

KNOWN_CASES = Path(__file__).resolve().parents[2] / "speech" / "audio" / "known_cases"
CRASHING_CHILD = """
import os, signal, sys, time
import speech.audio.isolated as decoding

sound = decoding.decode

def decode(data, limits):
    if data.startswith(b"CRASH"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return sound(data, limits)

decoding.decode = decode
decoding.main()
"""


def crashing() -> Decoder:
    """A decoder that dies on files that begin with CRASH."""
    decoder = Decoder()
    decoder._worker = Worker([sys.executable, "-c", CRASHING_CHILD])
    return decoder


@pytest.fixture
def build(tmp_path: Path, vocabulary: Vocabulary) -> Callable[..., tuple[ClipSet, ClipSummary]]:
    def run(*folders: Path, **settings: Any) -> tuple[ClipSet, ClipSummary]:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        arguments: dict[str, Any] = {
            "vocabulary": vocabulary,
            "language": "ru",
            "settings": ClipSettings(min_speech_seconds=0, min_clips_per_class=1, max_bad_share=0.3),
            "registry": tmp_path / "registry" / "speakers.json",
            "workers": 1,
        }
        summary = build_clips([Source(folder.name, folder) for folder in folders], out, **(arguments | settings))
        return ClipSet.load(out), summary

    return run


Build = Callable[..., tuple[ClipSet, ClipSummary]]


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def faults(clips: ClipSet) -> dict[str, str]:
    """File to the code of its fault."""
    return {Path(fault["file"]).name: fault["code"] for fault in report(clips.folder)["faults"]}


def test_a_whole_archive(archive: MakeArchive, balanced: Rows, build: Build, tmp_path: Path) -> None:
    clips, summary = build(archive(balanced))
    assert len(clips.records) == summary.clips == summary.labelled == 24
    assert summary.speakers == 6
    assert clips.classes == ("none", "burr", "fricative_g", "stutter")
    assert clips.language == "ru"
    assert clips.speakers_known
    for split in SPLITS:
        assert {record.label for record in clips.of_split(split)} == set(clips.classes)
    speakers = [{record.speaker for record in clips.of_split(split)} for split in SPLITS]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 6
    first = clips.records[0]
    path = tmp_path / "archive" / first.file
    assert clips.samples(first) == pytest.approx(soundfile.read(path, dtype="float32")[0])
    assert clips.samples(first).dtype == np.float32
    assert first.seconds == 0.5
    assert first.level_dbfs == pytest.approx(-13.5, abs=0.3)


def test_labelled_and_unlabelled_clips_of_a_split(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    clips, _ = build(archive([*balanced, ("u1.wav", "", "s0", ""), ("u2.wav", "", "s1", "")]))
    unlabelled = [record for split in SPLITS for record in clips.of_split(split, labelled=False)]
    assert {Path(record.file).name for record in unlabelled} == {"u1.wav", "u2.wav"}
    assert all(record.label for split in SPLITS for record in clips.of_split(split, labelled=True))


def test_the_same_archive_gives_the_same_bytes(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    folder = archive(balanced)
    names = ("clips.jsonl", "samples.i16", "meta.json", "splits.json", "report.json", "report.md")
    first, _ = build(folder, workers=2)
    before = [(first.folder / name).read_bytes() for name in names]
    again, _ = build(folder, workers=1)
    assert [(again.folder / name).read_bytes() for name in names] == before


def test_the_registry_is_written_by_the_commit_alone_and_then_holds(
    archive: MakeArchive, balanced: Rows, build: Build, tmp_path: Path
) -> None:
    path = tmp_path / "registry" / "speakers.json"
    folder = archive(balanced)
    clips, _ = build(folder)
    assert not path.exists()
    commit_splits(clips.folder, path)
    commit_splits(clips.folder, path)
    known = load_registry(path)
    assert len(known.speakers["archive"]) == 6
    splits = {record.id: record.split for record in clips.records}
    again, _ = build(folder, settings=ClipSettings(min_speech_seconds=0, min_clips_per_class=1, seed=77))
    assert {record.id: record.split for record in again.records} == splits


def test_archives_are_merged_and_their_speakers_kept_apart(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    one, two = archive(balanced, "one"), archive(balanced, "two", first=500)
    _, summary = build(one, two)
    assert summary.clips == 48
    assert summary.speakers == 12


def test_equal_sound_in_two_archives_is_kept_once(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    clips, summary = build(archive(balanced, "one"), archive(balanced, "two"))
    assert (summary.clips, summary.doubles, summary.quarantined) == (24, 24, 0)
    assert {record.archive for record in clips.records} == {"one"}


def test_a_set_travels_to_other_processes_without_its_sound(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    clips, _ = build(archive(balanced))
    before = clips.samples(clips.records[3])
    sent = pickle.dumps(clips)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).samples(clips.records[3]), before)


def test_faults_are_in_the_order_of_the_table(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    rows = [("gone.wav", "none", "s0", ""), *balanced, ("bad.wav", "lisp", "s0", ""), ("gone2.wav", "none", "s0", "")]
    clips, _ = build(archive(rows, audio=[row[0] for row in balanced]))
    assert [fault["row"] for fault in report(clips.folder)["faults"]] == [2, 27, 28]


def test_a_full_disk_leaves_no_set_and_no_decoder(
    archive: MakeArchive, balanced: Rows, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    out = tmp_path / "full"
    out.mkdir()
    (out / "samples.i16").symlink_to("/dev/full")
    before = len(psutil.Process().children())
    with pytest.raises(OSError, match="No space left"):
        build_clips(
            [Source("one", archive(balanced))],
            out,
            vocabulary=vocabulary,
            language="ru",
            settings=ClipSettings(min_speech_seconds=0, min_clips_per_class=1),
            registry=tmp_path / "speakers.json",
        )
    assert [path.name for path in out.iterdir()] == ["samples.i16"]
    assert len(psutil.Process().children()) == before


def test_pictures_are_small_and_real(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    clips, _ = build(archive(balanced))
    for name in ("durations.png", "classes.png"):
        data = (clips.folder / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) < 60_000


def test_table_missing_is_for_pretraining_only(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    folder = archive(balanced)
    (folder / "data_train.csv").unlink()
    with pytest.raises(NothingToTrainError, match=r"no usable clip with a label(.|\n)*no data_train\.csv"):
        build(folder)
    clips, summary = build(folder, labels_required=False)
    assert (summary.clips, summary.labelled) == (24, 0)
    assert not clips.speakers_known
    assert {record.split for record in clips.records} == {"train", "validation"}


def test_no_file_column(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    folder = archive(balanced, header=("sound", "label", "speaker", "split"))
    with pytest.raises(NothingToTrainError, match=r"'sound'.*must be named one of: file, path"):
        build(folder)


def test_no_file_column_in_one_of_two_archives(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    bad = archive(balanced[:2], "bad", header=("sound", "label", "speaker", "split"), first=500)
    _, summary = build(archive(balanced, "good"), bad)
    assert summary.fault_kinds == {"bad_table": 1}
    assert summary.labelled == 24
    worse = archive(balanced, "worse", header=("sound", "label", "speaker", "split"), first=900)
    with pytest.raises(TooManyFaultsError, match="24 of 48 rows"):
        build(archive(balanced, "fine"), worse)


def test_unknown_label_row_without_audio_and_audio_without_row(
    archive: MakeArchive, balanced: Rows, build: Build
) -> None:
    rows = [*balanced, ("odd.wav", "lisp", "s0", ""), ("gone.wav", "none", "s0", "")]
    audio = [row[0] for row in balanced] + ["odd.wav", "alone.wav"]
    clips, summary = build(archive(rows, audio=audio))
    assert faults(clips) == {"odd.wav": "unknown_label", "gone.wav": "no_audio"}
    kept = {Path(record.file).name: record for record in clips.records}
    assert kept["alone.wav"].label is None
    assert kept["alone.wav"].split == "train"
    assert "odd.wav" not in kept
    assert any("1 audio files are in no row" in note for note in summary.notes)
    text = (clips.folder / "report.md").read_text(encoding="utf-8")
    assert "unknown label 'lisp'; allowed: none (0, норма, нет)" in text
    assert "there is no audio file 'gone.wav'" in text


def test_doubles_that_disagree(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    folder = archive([*balanced, ("copy.wav", "burr", "s0", ""), ("same.wav", "none", "s0", "")])
    place = folder / "data_mp3" / "train"
    shutil.copy(place / "s0_none.wav", place / "copy.wav")
    samples, rate = soundfile.read(place / "s1_none.wav", dtype="int16")
    soundfile.write(place / "same.wav", samples, rate, format="FLAC")
    clips, summary = build(folder)
    assert faults(clips) == {"s0_none.wav": "double_disagrees", "copy.wav": "double_disagrees"}
    assert summary.doubles == 1
    names = {Path(record.file).name for record in clips.records}
    assert "s1_none.wav" in names
    assert not names & {"same.wav", "copy.wav", "s0_none.wav"}


def test_one_file_in_two_rows_that_disagree(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    clips, _ = build(archive([*balanced, ("s0_none.wav", "burr", "s0", "")]))
    assert [fault["row"] for fault in report(clips.folder)["faults"]] == [2, 26]


def test_audio_that_cannot_be_used_is_quarantined_with_the_reason(
    archive: MakeArchive, balanced: Rows, build: Build, sound: Callable[..., np.ndarray]
) -> None:
    bad = ("unreadable", "empty", "silent", "short", "long", "crash", "two_hours")
    folder = archive([*balanced, *((f"{name}.wav", "none", "s0", "") for name in bad)])
    place = folder / "data_mp3" / "train"
    (place / "unreadable.wav").write_bytes(np.random.default_rng(0).bytes(4000))
    (place / "empty.wav").write_bytes(b"")
    soundfile.write(place / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(place / "short.wav", sound(700, seconds=0.01), 16_000)
    soundfile.write(place / "long.wav", sound(701, seconds=31), 16_000)
    (place / "crash.wav").write_bytes(b"CRASH" + bytes(100))
    with soundfile.SoundFile(place / "two_hours.wav", "w", 8_000, 1, format="FLAC") as file:
        for _ in range(120):
            file.write(np.zeros(60 * 8_000, np.int16))
    clips, summary = build(folder, make_decoder=crashing)
    assert faults(clips) == {
        "unreadable.wav": "not_audio",
        "empty.wav": "empty",
        "silent.wav": "silent",
        "short.wav": "too_short",
        "long.wav": "too_long",
        "crash.wav": "decoder_crashed",
        "two_hours.wav": "too_long",
    }
    assert summary.clips == 24
    assert all(fault["message"] for fault in report(clips.folder)["faults"])


def test_clips_in_which_nobody_speaks_are_quarantined(
    archive: MakeArchive, balanced: Rows, build: Build, tmp_path: Path
) -> None:
    with pytest.raises(ClipsError):
        build(archive(balanced), settings=ClipSettings(min_clips_per_class=1, max_bad_share=1.0))
    codes = [fault["code"] for fault in report(tmp_path / "out")["faults"]]
    assert codes == ["no_speech"] * len(balanced)


def test_recordings_of_which_a_part_is_missing_are_taken_and_named(
    archive: MakeArchive, balanced: Rows, build: Build
) -> None:
    folder = archive(balanced)
    first, second = (folder / "data_mp3" / "train" / row[0] for row in balanced[:2])
    first.write_bytes((KNOWN_CASES / "damaged.m4a").read_bytes())
    second.write_bytes((KNOWN_CASES / "cut.wma").read_bytes())
    clips, _ = build(folder)
    assert {first.name, second.name} <= {Path(record.file).name for record in clips.records}
    notes = "\n".join(report(clips.folder)["notes"])
    assert f"damaged recordings (damaged, taken as far as they decode): data_mp3/train/{first.name}" in notes
    assert f"recordings that break off (cut_short, taken as far as they decode): data_mp3/train/{second.name}" in notes


def test_too_many_bad_rows_fail_and_the_first_ten_are_named(
    archive: MakeArchive, balanced: Rows, build: Build, tmp_path: Path
) -> None:
    rows = [*balanced, *((f"gone{n}.wav", "none", "s0", "") for n in range(12))]
    kept = tmp_path / "kept"
    folder = archive(rows, audio=[row[0] for row in balanced])
    with pytest.raises(TooManyFaultsError, match=r"12 of 36 rows cannot be used: 33\.3%") as caught:
        build(folder, failure_report=kept)
    message = str(caught.value)
    assert "row 26 (gone0.wav): there is no audio file" in message
    assert "gone9.wav" in message
    assert "gone10.wav" not in message
    assert "2 more" in message
    assert report(kept)["usable"] is False
    assert len(report(kept)["faults"]) == 12
    assert "Not usable" in (kept / "report.md").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "clips.jsonl").exists()
    assert (
        build(folder, settings=ClipSettings(min_speech_seconds=0, min_clips_per_class=1, max_bad_share=0.34))[1].clips
        == 24
    )


def test_good_unlabelled_audio_does_not_hide_bad_rows(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    rows = [*balanced, *((f"gone{n}.wav", "none", "s0", "") for n in range(12))]
    audio = [row[0] for row in balanced] + [f"extra{n}.wav" for n in range(20)]
    with pytest.raises(TooManyFaultsError, match="12 of 36 rows"):
        build(archive(rows, audio=audio))


def test_bad_audio_without_a_row_counts_too(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    folder = archive(balanced, audio=[*(row[0] for row in balanced), "extra.wav"])
    (folder / "data_mp3" / "train" / "extra.wav").write_bytes(b"")
    with pytest.raises(TooManyFaultsError, match="1 of 1 audio files without a row"):
        build(folder)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: [row for row in rows if row[1] != "stutter"],
        lambda rows: [row for row in rows if row[1] != "stutter" or row[2] in ("s0", "s1")],
    ],
    ids=["no clips", "two speakers"],
)
def test_a_class_too_small_fails_with_its_counts(
    archive: MakeArchive, balanced: Rows, build: Build, tmp_path: Path, spoil: Callable[[Rows], Rows]
) -> None:
    with pytest.raises(ClassTooSmallError, match=r"class stutter cannot be split: \d clips of \d speakers"):
        build(archive(spoil(balanced)))
    assert "class stutter" in report(tmp_path / "out")["verdict"]


def test_a_split_column_that_tears_a_speaker_fails(archive: MakeArchive, balanced: Rows, build: Build) -> None:
    rows = [(file, label, speaker, "test" if label == "burr" else "train") for file, label, speaker, _ in balanced]
    with pytest.raises(SplitColumnError, match="archive/s0: test"):
        build(archive(rows))


def test_an_archive_without_sound(tmp_path: Path, build: Build) -> None:
    folder = tmp_path / "empty"
    (folder / "data_mp3").mkdir(parents=True)
    with pytest.raises(NothingToTrainError, match="no usable clip in empty"):
        build(folder, labels_required=False)


def test_every_failure_is_a_clips_error(tmp_path: Path, build: Build, archive: MakeArchive, balanced: Rows) -> None:
    path = tmp_path / "registry" / "speakers.json"
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(ClipsError, match="damaged"):
        build(archive(balanced))

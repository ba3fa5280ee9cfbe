"""The audit of an archive with real files: what differs between its classes is named, with what to do."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.clips.contents import Source, Vocabulary
from pipeline.clips.dataset import ClipSet, build_clips
from pipeline.clips.settings import ClipSettings
from pipeline.clips.shortcuts import SPEAKER, section, told
from speech.files import read_json

SPEAKERS, EACH = 12, 5
CLASSES = ("none", "burr")

Write = Callable[[Path, np.ndarray, str], None]


def plain(path: Path, sound: np.ndarray, label: str) -> None:
    soundfile.write(path, sound, 16_000, format="WAV")


def longer(path: Path, sound: np.ndarray, label: str) -> None:
    plain(path, np.tile(sound, 2) if label == "burr" else sound, label)


def louder(path: Path, sound: np.ndarray, label: str) -> None:
    plain(path, sound * (1.0 if label == "burr" else 0.25), label)


def packed(path: Path, sound: np.ndarray, label: str) -> None:
    soundfile.write(path, sound, 16_000, format="MP3" if label == "burr" else "FLAC")


def duller(path: Path, sound: np.ndarray, label: str) -> None:
    rate = 8_000 if label == "burr" else 16_000
    soundfile.write(path, sound[:: 16_000 // rate], rate, format="WAV")


def audited(folder: Path, write: Write, vocabulary: Vocabulary) -> ClipSet:
    """A clip set of noisy tones of random lengths, two classes from every speaker."""
    rng = np.random.default_rng(0)
    place = folder / "archive"
    place.mkdir()
    rows = [("file", "label", "speaker")]
    for speaker in range(SPEAKERS):
        for label in CLASSES:
            for number in range(EACH):
                name = f"{speaker}_{label}_{number}.audio"
                times = np.arange(int(rng.uniform(0.6, 1.0) * 16_000)) / 16_000
                tone = np.sin(2 * np.pi * rng.uniform(150, 300) * times) * np.sin(2 * np.pi * 3 * times)
                write(place / name, 0.3 * tone + rng.normal(0, 0.02, len(times)), label)
                rows.append((name, label, f"s{speaker}"))
    with (place / "data_train.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(rows)
    out = folder / "out"
    out.mkdir()
    settings = ClipSettings(
        classes=list(CLASSES), min_clips_per_class=1, test_share=0.34, validation_share=0.1, min_speech_seconds=0
    )
    names = {name: vocabulary.classes[name] for name in CLASSES}
    words = Vocabulary(vocabulary.columns, names, vocabulary.splits)
    build_clips(
        [Source("archive", place)], out, vocabulary=words, language="ru", settings=settings,
        registry=folder / "registry.json",
    )  # fmt: skip
    return ClipSet.load(out)


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (plain, set()),
        (longer, {"duration"}),
        (louder, {"level"}),
        (packed, {"codec"}),
        (duller, {"bandwidth", "codec", "rate"}),
    ],
)
def test_it_names_what_tells_the_classes(tmp_path: Path, vocabulary: Vocabulary, write: Write, found: set[str]) -> None:
    clips = audited(tmp_path, write, vocabulary)
    rows = {row["name"]: row for row in clips.meta["shortcuts"]}
    assert found <= {name for name, row in rows.items() if row["tells"]}
    if not found:
        assert not [name for name, row in rows.items() if row["tells"]]
    assert SPEAKER in rows
    report = read_json(clips.folder / "report.json")
    warned = [note for note in report["notes"] if note.startswith("a model may learn the ")]
    assert all(any(f"learn the {name} " in note for note in warned) for name in found)
    assert report["shortcuts"] == clips.meta["shortcuts"]
    text = (clips.folder / "report.md").read_text(encoding="utf-8")
    assert "## Shortcuts" in text
    assert section(clips.meta["shortcuts"]) in text
    assert ("What to do" in text) == bool(warned)


def test_a_set_without_an_audit_has_no_section() -> None:
    assert section(()) == ""
    assert told(()) == []

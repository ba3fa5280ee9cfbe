"""The corpus to measure with: its plan, and a small one made."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from bench import corpus
from bench.corpus import LABELS, Plan, festival_plan, plan, table
from speech.audio.decode import decode

COUNTS = {"train": 160, "test": 64}


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    with pytest.MonkeyPatch.context() as patch:  # espeak-ng's pronunciation is not what is tested
        patch.setattr(corpus, "speakable", lambda text: True)
        return plan(COUNTS["train"], COUNTS["test"], 7)


@pytest.mark.parametrize("split", COUNTS)
def test_classes_speakers_and_sentences_are_balanced(plans: list[Plan], split: str) -> None:
    own = [item for item in plans if item.split == split]
    assert Counter(item.label for item in own) == dict.fromkeys(LABELS, COUNTS[split] // len(LABELS))
    of_speaker = Counter((item.speaker.name, item.label) for item in own)
    counts = [of_speaker[name, label] for name in {item.speaker.name for item in own} for label in LABELS]
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 1
    of_text = Counter((item.text, item.label) for item in own)
    assert {of_text[text, label] for text in {item.text for item in own} for label in LABELS} == {1}


def test_voices_and_sentences_of_the_test_are_in_no_training(plans: list[Plan]) -> None:
    train, test = ([item for item in plans if item.split == split] for split in ("train", "test"))
    assert not {item.speaker.name for item in train} & {item.speaker.name for item in test}
    assert not {item.text for item in train} & {item.text for item in test}


def test_the_recorded_voice_is_in_the_test_alone_fluent_and_stuttered_alike(plans: list[Plan]) -> None:
    extra = festival_plan(20, len(plans) + 1, 7)
    assert {item.split for item in extra} == {"test"}
    assert {item.group for item in extra} == {"festival"}
    assert {item.group for item in plans} == {"espeak"}
    sides = [{(item.text, item.seed) for item in extra if item.label == label} for label in ("none", "stutter")]
    assert sides[0] == sides[1]
    assert len(sides[0]) == 10
    assert not {item.text for item in extra} & {item.text for item in plans if item.split == "train"}
    files = [item.file for item in plans + extra]
    assert len(set(files)) == len(files)


def test_an_odd_number_of_twins_is_refused() -> None:
    with pytest.raises(ValueError, match="--festival 7"):
        festival_plan(7, 1, 7)


def test_more_twins_than_sentences_are_refused() -> None:
    with pytest.raises(ValueError, match="clips at most"):
        festival_plan(100_000, 1, 7)


def test_the_table_tells_split_and_group(plans: list[Plan]) -> None:
    rows = list(csv.DictReader(io.StringIO(table(plans + festival_plan(4, len(plans) + 1, 7)))))
    assert {(row["split"], row["group"]) for row in rows} == {("", "espeak"), ("test", "espeak"), ("test", "festival")}


@pytest.mark.system
def test_a_small_corpus_is_made(tmp_path: Path) -> None:
    target = tmp_path / "corpus.zip"
    command = [sys.executable, "-m", "bench.corpus", "--train", "8", "--test", "8", "--workers", "1", "--out"]
    subprocess.run([*command, target, "--festival", "6"], check=True)
    places = json.loads(target.with_suffix(".places.json").read_text(encoding="utf-8"))
    with zipfile.ZipFile(target) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("data_train.csv").decode())))
        sounds = {row["file"]: archive.read(f"data_mp3/train/{row['file']}") for row in rows}
    assert len(rows) == 22
    assert Counter((row["group"], row["label"]) for row in rows if row["group"] == "festival") == {
        ("festival", "none"): 3,
        ("festival", "stutter"): 3,
    }
    for row in rows:
        told, seconds = places[row["file"]], decode(sounds[row["file"]]).seconds
        assert bool(told["defects"]) == (row["label"] != "none")
        assert {name for name, _, _ in told["letters"]} == {"р", "г"}
        assert all(0 <= start < end <= seconds for _, start, end in told["defects"] + told["letters"])

    alone = tmp_path / "alone.zip"
    subprocess.run([*command, alone, "--festival", "0"], check=True)
    with zipfile.ZipFile(alone) as archive:
        names = [name for name in archive.namelist() if name.endswith(".mp3")]
        assert len(names) == 16
        assert all(archive.read(name) == sounds[Path(name).name] for name in names)


def test_without_festival_no_corpus_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    target = tmp_path / "corpus.zip"
    monkeypatch.setattr(sys, "argv", ["corpus", "--out", str(target)])
    assert corpus.main() == 1
    assert "apt-get install festival festvox-ru" in capsys.readouterr().err
    assert not target.exists()

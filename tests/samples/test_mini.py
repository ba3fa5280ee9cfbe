"""The sample archive as it is shipped: what it holds, and that nothing but the sound tells its classes apart."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from speech.audio.decode import decode

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
LABELS = {"none", "burr", "fricative_g", "stutter"}
CHANCE = 0.25
NEAR_CHANCE = CHANCE + 0.10  # macro-F1; the majority baseline has about 0.1


@pytest.fixture(scope="module")
def clips() -> pd.DataFrame:
    """`data_train.csv` with the decoded length of every clip in seconds; a file that does not decode fails here."""
    with zipfile.ZipFile(SAMPLES / "mini.zip") as archive:
        table = pd.read_csv(archive.open("data_train.csv"), encoding="utf-8")
        sounds = [decode(archive.read(f"data_mp3/train/{name}")) for name in table["file"]]
        assert len(archive.namelist()) == len(table) + 1
    table["seconds"] = [sound.seconds for sound in sounds]
    assert {(sound.source_rate, sound.source_channels) for sound in sounds} == {(16_000, 1)}
    return table


@pytest.fixture(scope="module")
def labelled(clips: pd.DataFrame) -> pd.DataFrame:
    return clips.dropna(subset="label")


def test_size_and_counts(clips: pd.DataFrame, labelled: pd.DataFrame) -> None:
    assert (SAMPLES / "mini.zip").stat().st_size <= 8_000_000
    assert list(clips.columns[:4]) == ["file", "label", "speaker", "text"]
    assert len(labelled) >= 200
    assert len(clips) - len(labelled) >= 20
    assert clips["speaker"].nunique() >= 12
    assert clips["file"].is_unique


def test_length_of_clips(clips: pd.DataFrame) -> None:
    assert clips["seconds"].between(1.5, 6.0).all()
    assert clips["seconds"].between(1.8, 4.0).mean() > 0.85


def test_classes_are_roughly_balanced(labelled: pd.DataFrame) -> None:
    counts = labelled["label"].value_counts()
    assert set(counts.index) == LABELS
    assert counts.max() < 1.5 * counts.min()


@pytest.mark.parametrize("column", ["speaker", "text"])
def test_every_speaker_and_every_sentence_has_every_class(labelled: pd.DataFrame, column: str) -> None:
    assert pd.crosstab(labelled[column], labelled["label"]).to_numpy().min() >= 1


def test_voices_are_not_those_kept_for_judging(clips: pd.DataFrame) -> None:
    digests = [int(hashlib.sha1(name.encode()).hexdigest(), 16) for name in clips["speaker"].unique()]
    assert not any(digest % 2 for digest in digests)


def test_sentences_hold_both_letters_where_a_class_needs_them(labelled: pd.DataFrame) -> None:
    assert labelled["text"].str.contains("р", case=False).all()
    assert labelled["text"].str.contains("г", case=False).all()


def test_duration_alone_is_near_chance(labelled: pd.DataFrame) -> None:
    by_speaker = GroupKFold(6)
    tree = DecisionTreeClassifier(max_depth=3, class_weight="balanced", random_state=0)
    guesses = cross_val_predict(
        tree, labelled[["seconds"]], labelled["label"], groups=labelled["speaker"], cv=by_speaker
    )
    assert f1_score(labelled["label"], guesses, average="macro") < NEAR_CHANCE


@pytest.mark.parametrize("column", ["speaker", "text"])
def test_speaker_or_text_alone_is_near_chance(labelled: pd.DataFrame, column: str) -> None:
    names = pd.get_dummies(labelled[column]).to_numpy(dtype=np.float64)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    tree = DecisionTreeClassifier(class_weight="balanced", random_state=0)
    guesses = cross_val_predict(tree, names, labelled["label"], cv=folds)
    assert f1_score(labelled["label"], guesses, average="macro") < NEAR_CHANCE


@pytest.mark.system
def test_it_is_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    """On the espeak-ng, libsndfile and soxr that made it (samples/README.md)."""
    built = tmp_path / "mini.zip"
    subprocess.run([sys.executable, "-m", "samples.make_mini", "--out", built, "--seed", "20"], check=True)
    assert hashlib.sha256(built.read_bytes()).digest() == hashlib.sha256((SAMPLES / "mini.zip").read_bytes()).digest()


def test_without_espeak_the_script_says_what_to_install(tmp_path: Path) -> None:
    built = tmp_path / "mini.zip"
    command = [sys.executable, "-m", "samples.make_mini", "--out", built]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "apt-get install espeak-ng" in done.stderr
    assert not built.exists()

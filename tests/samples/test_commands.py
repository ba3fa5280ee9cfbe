"""The recogniser's sample archive as it is shipped: a closed vocabulary, voices that the encoder has not heard."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.recognition.texts import Texts
from speech.audio.decode import decode
from speech.synthesis.espeak import VOICES
from speech.text.language import load_language

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def clips() -> pd.DataFrame:
    """`data_train.csv` with the decoded length of every clip in seconds."""
    with zipfile.ZipFile(SAMPLES / "commands.zip") as archive:
        table = pd.read_csv(archive.open("data_train.csv"), encoding="utf-8")
        sounds = [decode(archive.read(f"data_mp3/train/{name}")) for name in table["file"]]
        assert len(archive.namelist()) == len(table) + 1
    table["seconds"] = [sound.seconds for sound in sounds]
    return table


def test_size(clips: pd.DataFrame) -> None:
    assert (SAMPLES / "commands.zip").stat().st_size < 3_000_000
    assert list(clips.columns[:3]) == ["file", "text", "speaker"]
    assert len(clips) == 250
    assert clips["speaker"].value_counts().eq(25).all()
    assert clips["seconds"].between(0.9, 4.0).all()


def test_vocabulary_is_closed_and_every_word_is_said_often(clips: pd.DataFrame) -> None:
    corpus = yaml.safe_load((SAMPLES / "commands.yaml").read_text(encoding="utf-8"))
    words = re.findall(r"\w+", yaml.safe_dump(corpus, allow_unicode=True))
    counts = clips["text"].str.split().explode().value_counts()
    assert set(counts.index) <= set(words)
    assert len(counts) == 61
    assert counts.min() >= 3


def test_every_text_can_be_learnt(clips: pd.DataFrame) -> None:
    texts = Texts(load_language("ru"))
    assert [text for text in clips["text"] if texts.fault(text)] == []


def test_voices(clips: pd.DataFrame) -> None:
    names = set(clips["speaker"])
    assert len(names) == 10
    assert not names & set(VOICES)
    assert not any(int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2 for name in names)


@pytest.mark.system
def test_it_is_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    built = tmp_path / "commands.zip"
    subprocess.run([sys.executable, "-m", "samples.make_commands", "--out", built, "--seed", "20"], check=True)
    assert built.read_bytes() == (SAMPLES / "commands.zip").read_bytes()

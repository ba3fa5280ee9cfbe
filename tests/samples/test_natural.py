"""The archive of natural voices that the ready configurations hear beside a user's own."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.clips.contents import Source, examine
from pipeline.clips.settings import ClipSettings
from pipeline.clips.vocabulary import vocabulary
from samples.make_mini import LABELS
from samples.make_natural import PROMPTS, READINGS, editions
from speech.home import code_folder
from speech.text.language import load_language
from tests.pipeline.defects.test_disfluency import SPEECH

SAMPLES = code_folder() / "samples"
BOTH_MOST = 12e6  # bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("natural")
    with zipfile.ZipFile(SAMPLES / "natural.zip") as file:
        file.extractall(target)
    return target


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "data_train.csv").read_text(encoding="utf-8"))))


def of(rows: list[dict[str, str]], source: str) -> list[dict[str, str]]:
    return [row for row in rows if row["speaker"].startswith(source)]


def test_both_archives_are_small() -> None:
    assert sum((SAMPLES / name).stat().st_size for name in ("mini.zip", "natural.zip")) <= BOTH_MOST


def test_it_is_read_without_a_fault(folder: Path, rows: list[dict[str, str]]) -> None:
    settings = ClipSettings(classes=list(LABELS))
    found = examine(Source("natural", folder), vocabulary(settings, load_language("ru")))
    assert found.faults == []
    assert len(found.candidates) == len(rows)


def test_every_source_is_in_every_class_that_it_can_say(rows: list[dict[str, str]]) -> None:
    assert {row["label"] for row in of(rows, "kokoro")} == set(LABELS)
    for source in ("rhvoice", "asterisk"):
        assert {row["label"] for row in of(rows, source)} == {"none", "stutter"}
    assert len(of(rows, "kokoro")) + len(of(rows, "rhvoice")) + len(of(rows, "asterisk")) == len(rows)


@pytest.mark.parametrize("source", ["kokoro", "rhvoice", "asterisk"])
def test_a_natural_voice_tells_no_class(rows: list[dict[str, str]], source: str) -> None:
    """Each speaker is fluent as often as stuttering."""
    counts = Counter((row["speaker"], row["label"]) for row in of(rows, source))
    for speaker in {row["speaker"] for row in of(rows, source)}:
        assert counts[speaker, "none"] == counts[speaker, "stutter"] > 0


def test_only_voices_that_may_ship_speak(rows: list[dict[str, str]]) -> None:
    names = {row["speaker"].split("-", 1)[1] for row in of(rows, "kokoro")}
    assert all(int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2 == 0 for name in names)
    assert {row["speaker"] for row in of(rows, "rhvoice")} == {
        f"rhvoice-{name}" for name in ("aleksandr", "anna", "elena", "irina")
    }
    assert len(of(rows, "rhvoice")) <= 2 * 4 * READINGS
    assert len(of(rows, "asterisk")) <= 2 * PROMPTS


def test_fluent_speech_is_there_unedited_paused_and_joined() -> None:
    """Pauses must not tell fluent clips from stuttered ones, neither by being there nor by being absent."""
    told = [editions(SPEECH, number, np.random.default_rng(0)) for number in range(6)]
    fluent = [made[0] for made in told if made is not None]
    assert len(fluent) == 6
    assert np.array_equal(fluent[0], SPEECH)
    assert all(len(one) > len(SPEECH) for one in (*fluent[1:3], *fluent[4:]))
    stuttered = [made[1] for made in told if made is not None]
    assert all(len(one) > len(SPEECH) for one in stuttered)
    assert len({len(one) for one in stuttered}) > 1


def test_the_ready_configurations_name_it() -> None:
    for name in ("smoke", "offline", "offline-whisper"):
        config = yaml.safe_load((code_folder() / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
        assert config["ops"]["archive"]["config"]["companions"] == ["samples/natural.zip"]

"""Several defects at once, by configuration alone: trained, published and served from clips that hold two."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from dagster import DagsterInstance

from pipeline.definitions import defs
from speech.bundles.defects import load_bundle
from speech.defects.diagnose import diagnose
from speech.home import Home
from speech.serving.pointer import read_pointer
from tests.archives import CLASSES, RATE, sound
from tests.pipeline.defects.test_new_defects import served
from tests.pipeline.test_train_job import CONFIG, failure, launch, metadata

pytestmark = pytest.mark.long

CELLS = {
    "норма": ("none",),
    "картавость": ("burr",),
    "заикание": ("stutter",),
    "фрикативное г": ("fricative_g",),
    "картавость; заикание": ("burr", "stutter"),
    "3+r": ("burr", "stutter"),
}
TRAINING = {"epochs": 14, "learning_rate": 3e-3, "head_learning_rate": 3e-3, "augment": False, "patience": 14}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VNYATNO_HOME", str(root / "home"))
        patch.setenv("VNYATNO_ARCHIVE_ROOTS", str(root))
        yield Home(root / "home")


@pytest.fixture(scope="module")
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def mixed(labels: tuple[str, ...], speaker: int, number: int) -> np.ndarray:
    """The tones of all classes of a clip at once."""
    tones = [sound(CLASSES.index(label), speaker, number) for label in labels]
    return np.asarray(sum(tones) / len(tones), dtype=np.float32)


def write_archive(path: Path, speakers: int = 12) -> Path:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("file", "label", "speaker", "text"))
    with zipfile.ZipFile(path, "w") as archive:
        for speaker in range(speakers):
            for number, (cell, labels) in enumerate(CELLS.items()):
                buffer = io.BytesIO()
                soundfile.write(buffer, mixed(labels, speaker, number), RATE, format="WAV")
                archive.writestr(f"data_mp3/train/s{speaker}_{number}.wav", buffer.getvalue())
                writer.writerow((f"s{speaker}_{number}.wav", cell, f"voice{speaker}", "рыба и гора"))
        archive.writestr("data_train.csv", table.getvalue())
    return path


@pytest.mark.system
def test_clips_with_two_defects_are_trained_on_and_served(home: Home, instance: DagsterInstance) -> None:
    archive = write_archive(home.root.parent / "several.zip")
    result = launch(
        archive, instance, clips={"exclusive": False}, heads={**TRAINING, "imitated_share": 0.0, "marker_weight": 0.0}
    )
    assert result.success
    shown = metadata(result, "evaluation")
    assert shown["macro_f1"] > 0.8
    assert "confusion" not in shown
    pointer = read_pointer(home)
    assert pointer is not None
    bundle = load_bundle(home.bundles / pointer.current)
    assert not bundle.model.spec.exclusive
    assert bundle.metrics["per_class"]["burr"]["clips"] == bundle.metrics["per_class"]["stutter"]["clips"]
    unheard = 77
    for labels in CELLS.values():
        (answer,) = diagnose(bundle.model, [mixed(labels, unheard, 0)], bundle.calibration)
        assert answer.named == labels
    answer: Any = served(home)
    assert answer["exclusive"] is False
    none, *defects = answer["predict_proba"]
    assert none == pytest.approx(np.prod([1 - p for p in defects]))
    assert "Several defects may be heard at once" in metadata(result, "bundle")["card"]
    scored = defs.resolve_job_def("evaluate").execute_in_process(
        {
            "ops": {
                "archive": {"config": {"sources": [str(archive)], "namespaces": ["tones"]}},
                "clips": {"config": {**CONFIG["clips"], "exclusive": False}},
                "scores": {"config": {}},
            }
        },
        instance,
    )
    assert metadata(scored, "scores")["macro_f1"] == pytest.approx(shown["macro_f1"])  # on the same test clips


@pytest.mark.usefixtures("home")
def test_the_same_table_is_refused_where_classes_are_exclusive(home: Home, instance: DagsterInstance) -> None:
    archive = write_archive(home.root.parent / "refused.zip", speakers=4)
    stage, message = failure(launch(archive, instance))
    assert stage == "clips"
    assert "unknown label 'картавость; заикание'" in message
    assert "ops.clips.config.exclusive to false" in message

"""A data folder that an earlier version wrote (tests/stored) is served, rolled back and trained on by this one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from pipeline.assets import encoder, heads, markers, transcripts
from pipeline.clips.dataset import ClipSet
from pipeline.clips.registry import REGISTRY_NAME, load_registry, speaker_key
from pipeline.run_config import STAGES
from pipeline.store import StageStore
from speech.bundles.defects import load_bundle, read_config, verify
from speech.files import read_json
from speech.home import Home
from speech.serving.history import read_history
from speech.serving.pointer import read_pointer, rollback
from tests.archives import write_archive
from tests.pipeline.defects.test_new_defects import served
from tests.pipeline.test_train_job import launch, metadata

STORED = Path(__file__).parent / "stored"
FIRST, SECOND = "defects-f2c056d8dcaa", "defects-433809b5a341"  # the second one serves
# But for archives and clips, which are made anew: they find tables and recordings that they did not find then.
VERSIONS = {
    "transcripts": transcripts.VERSION,
    "markers": markers.VERSION,
    "encoder": encoder.VERSION,
    "heads": heads.VERSION,
}


@pytest.fixture
def before(data_home: Home) -> Home:
    """A copy of the stored data folder, which `speech.home.home()` names too."""
    shutil.copytree(STORED, data_home.root)
    return data_home


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in STORED.rglob("*") if path.is_file()) < 300_000


def test_its_bundle_is_served(before: Home) -> None:
    pointer = read_pointer(before)
    assert pointer is not None
    assert (pointer.current, pointer.previous) == (SECOND, FIRST)
    for name in (FIRST, SECOND):
        verify(before.bundles / name)
        assert load_bundle(before.bundles / name).config.id == name
    answer: Any = served(before)
    assert answer["bundle"] == SECOND
    assert sum(answer["predict_proba"]) == pytest.approx(1.0)


def test_it_is_rolled_back(before: Home) -> None:
    assert [(change.action, change.before, change.after) for change in read_history(before)] == [
        ("published", None, FIRST),
        ("published", FIRST, SECOND),
    ]
    assert rollback(before).current == FIRST
    assert read_history(before)[-1].action == "rolled_back"
    assert served(before)["bundle"] == FIRST
    assert rollback(before).current == SECOND


def test_a_training_goes_on_from_it(before: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = write_archive(tmp_path / "archives" / "tones.zip", speakers=18)  # half of them are known
    monkeypatch.setenv("VNYATNO_ARCHIVE_ROOTS", str(zipped.parent))
    known = load_registry(before.registry / REGISTRY_NAME).speakers["tones"]
    with DagsterInstance.ephemeral() as instance:
        result = launch(zipped, instance, encoder={"architecture": None, "init_from": "service"})
    assert result.success
    made = metadata(result, "bundle")["bundle_id"]
    pointer = read_pointer(before)
    assert pointer is not None
    assert (pointer.current, pointer.previous) == (made, SECOND)
    lineage = read_config(before.bundles / made).lineage
    cause = read_json(before.stages / "encoder" / Path(metadata(result, "encoder")["folder"]).name / "stage.json")
    assert cause["inputs"]["bundle"] == SECOND
    assert lineage["run"] == result.run_id
    split = ClipSet.load(Path(metadata(result, "clips")["folder"]))
    assert len(known) == 9
    for record in split.records:
        assert record.speaker is not None
        assert record.split == known.get(speaker_key(record.speaker), record.split)
    champion = read_json(Path(metadata(result, "evaluation")["folder"]) / "metrics.json")["champion"]
    assert (champion["bundle"], champion["in_service"]) == (SECOND, SECOND)
    assert champion["clips"] >= 10
    assert 0.0 <= read_json(before.bundles / made / "metrics.json")["champion"]["risk"] <= 1.0
    assert rollback(before).current == SECOND


@pytest.mark.parametrize(
    ("stage", "key"),
    sorted(
        (path.parent.parent.name, path.parent.name)
        for path in STORED.glob("stages/*/*/stage.json")
        # An evaluation judges a calibration that is an output of its own now; what a raised stage made is made anew.
        if VERSIONS.get(path.parent.parent.name) == read_json(path)["version"]
    ),
)
def test_its_outputs_are_found(before: Home, stage: str, key: str) -> None:
    record = read_json(before.stages / stage / key / "stage.json")
    settings = STAGES[stage].model_validate(record["settings"])

    def make(folder: Path) -> dict[str, Any]:
        raise AssertionError("it is there")

    found = StageStore(before).build(
        stage, VERSIONS[stage], settings.for_key(), record["inputs"], make, not_in_key=settings.not_in_key
    )
    assert (found.key, found.reused, found.summary) == (key, True, record["summary"])

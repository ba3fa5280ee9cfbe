"""The assets `asr_archive` and `asr_clips`: what a run makes, what a rerun uses again, and what a failure leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dagster import ExecuteInProcessResult, materialize

from pipeline.assets.archive import archive
from pipeline.assets.asr_archive import asr_archive
from pipeline.assets.asr_clips import asr_clips
from pipeline.assets.clips import clips
from pipeline.clips.dataset import ClipSet
from pipeline.recognition import datasets
from speech.home import Home
from tests.pipeline.recognition.corpora import spoken, table, wav, write_zip


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VNYATNO_ARCHIVE_ROOTS", str(tmp_path))
    return tmp_path


def launch(asr_archive_config: dict[str, Any], **asr_clips_config: Any) -> ExecuteInProcessResult:
    config = {
        "asr_archive": {"config": asr_archive_config},
        "asr_clips": {"config": {"language": "en", "min_speech_seconds": 0} | asr_clips_config},
    }
    return materialize([asr_archive, asr_clips], run_config={"ops": config}, raise_on_error=False)


def metadata(result: ExecuteInProcessResult, stage: str) -> dict[str, Any]:
    (event,) = [event for event in result.get_asset_materialization_events() if event.step_key == stage]
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def failure(result: ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    while error.cause is not None:
        error = error.cause
    return str(error.message)


def test_an_archive_with_texts(roots: Path, data_home: Home) -> None:
    source = {"sources": [str(write_zip(roots / "speech.zip", spoken(4, 5)))]}
    first = launch(source)
    assert first.success
    found = metadata(first, "asr_clips")
    assert (found["clips"], found["labelled"], found["speakers_known"]) == (20, 20, True)
    data = ClipSet.load(Path(found["folder"]))
    assert {record.split for record in data.records} == {"train", "validation", "test"}
    again = launch(source)
    assert metadata(again, "asr_archive")["reused"]
    assert metadata(again, "asr_clips")["reused"]
    assert sorted(path.name for path in data_home.stages.iterdir()) == ["asr_archive", "asr_clips"]


def test_the_recipes_do_not_take_each_others_latest_archive(roots: Path, data_home: Home) -> None:
    texts = write_zip(roots / "texts.zip", spoken(4, 5))
    labels = [(f"s{who}_{label}.wav", label, f"s{who}") for who in range(6) for label in ("none", "burr")]
    defects = write_zip(roots / "defects.zip", labels, ("file", "label", "speaker"))
    assert launch({"sources": [str(texts)]}).success
    config = {
        "archive": {"config": {"sources": [str(defects)]}},
        "clips": {"config": {"classes": ["none", "burr"], "min_clips_per_class": 1, "min_speech_seconds": 0}},
    }
    assert materialize([archive, clips], run_config={"ops": config}).success
    result = materialize(
        [asr_clips], run_config={"ops": {"asr_clips": {"config": {"language": "en", "min_speech_seconds": 0}}}}
    )
    assert metadata(result, "asr_clips")["clips"] == 20


def test_a_dataset(roots: Path, data_home: Home) -> None:
    folder = roots / "spoken" / "train"
    folder.mkdir(parents=True)
    rows = spoken(4, 5)
    (folder / "metadata.csv").write_text(table(rows, ("file_name", "text", "speaker")), encoding="utf-8")
    for number, row in enumerate(rows):
        (folder / row[0]).write_bytes(wav(number))
    source = {"dataset": {"name": str(folder.parent)}}
    assert metadata(launch(source), "asr_clips")["clips"] == 20
    assert metadata(launch(source), "asr_archive")["reused"]
    (folder / rows[0][0]).write_bytes(wav(99))
    assert not metadata(launch(source), "asr_archive")["reused"]


def test_an_interrupted_dataset_leaves_nothing_that_counts(
    roots: Path, data_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = roots / "spoken" / "train"
    folder.mkdir(parents=True)
    rows = spoken(4, 5)
    (folder / "metadata.csv").write_text(table(rows, ("file_name", "text", "speaker")), encoding="utf-8")
    for number, row in enumerate(rows):
        (folder / row[0]).write_bytes(wav(number))
    whole, read = datasets.sound_of, 0

    def broken(*arguments: Any) -> bytes | None:
        nonlocal read
        read += 1
        if read == 8:
            raise KeyboardInterrupt
        return whole(*arguments)

    source = {"dataset": {"name": str(folder.parent)}}
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "sound_of", broken)
        assert not launch(source).success
    assert list((data_home.stages / "asr_archive").iterdir()) == []
    assert metadata(launch(source), "asr_clips")["clips"] == 20


def test_bad_texts_fail_the_run_with_their_rows(roots: Path, data_home: Home) -> None:
    rows = [*spoken(4, 4), *((f"x{number}.wav", "", "s0") for number in range(4))]
    result = launch({"sources": [str(write_zip(roots / "speech.zip", rows))]})
    assert not result.success
    told = failure(result)
    assert "4 of 20 rows cannot be used" in told
    assert "speech: row 18 (x0.wav): text: the cell is empty" in told
    assert list((data_home.root / "reports").rglob("report.md"))
    assert not (data_home.registry / "speakers.json").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sources": ["a.zip"], "dataset": {"name": "a/b"}}, "give one of them"),
        ({"sources": [" "]}, "name at least one archive"),
        ({"dataset": {"name": "x"}, "namespaces": ["a", "b"]}, "namespaces: give one per source"),
    ],
)
def test_settings_are_checked_before_anything_is_fetched(given: dict[str, Any], told: str, data_home: Home) -> None:
    result = launch(given)
    assert not result.success
    assert told in failure(result)

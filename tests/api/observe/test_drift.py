"""The window of a worker: what it keeps, what it tells, what it writes."""

from __future__ import annotations

import gc
import json
import logging
import os
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.observe.drift import DriftMonitor, worker_name
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.files import write_json
from speech.home import Home
from speech.serving.drift import LEAST_ANSWERS, read_tally, tally_file, tally_files
from speech.serving.pointer import publish
from tests.api.conftest import SETTINGS, ended, started
from tests.bundles import CLASSES, METRICS, write_tiny_bundle
from tests.recordings import encoded, hum

STATISTICS = {"seconds": {"0.05": 1.0, "0.5": 2.0, "0.95": 4.0}, "unmeasured": {"0.5": 1.0}}
JUDGED = METRICS | {"classes": list(CLASSES), "confusion": [[5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 5, 0], [0, 0, 0, 5]]}


class Notes:
    """What was told last."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []

    def drifted(self, answers: int, psi: Mapping[str, float], by_chance: Mapping[str, float]) -> None:
        assert set(by_chance) == set(psi)
        assert all(value > 0 for value in by_chance.values())
        self.told.append((answers, dict(psi)))


def bundle(home: Home, name: str) -> LoadedBundle:
    """A bundle in memory that knows what its training clips were like."""
    loaded = load_bundle(write_tiny_bundle(home, name, metrics=JUDGED))
    write_json(loaded.folder / "statistics.json", STATISTICS)
    return loaded


@pytest.fixture
def notes() -> Notes:
    return Notes()


def watch(home: Home, notes: Notes, window: int = 500) -> DriftMonitor:
    return DriftMonitor(home, notes, window, "w-1")


def test_counts_are_told_and_written(data_home: Home, notes: Notes) -> None:
    tiny, drift = bundle(data_home, "tiny-1"), watch(data_home, notes)
    for _ in range(LEAST_ANSWERS):
        drift.add(tiny, {"seconds": 9.0, "more": 1.0}, ("burr",))
    drift.count()
    ((answers, psi),) = notes.told
    assert answers == LEAST_ANSWERS
    assert set(psi) == {"seconds", "class"}
    assert min(psi.values()) > 1
    tally = read_tally(tally_file(data_home, "w-1"))
    assert (tally.bundle, tally.worker, tally.answers) == ("tiny-1", "w-1", LEAST_ANSWERS)
    assert tally.counts == {"seconds": [0, 0, 0, LEAST_ANSWERS], "class": [0, LEAST_ANSWERS, 0, 0]}


def test_a_model_is_not_held_until_the_next_answer(data_home: Home, notes: Notes) -> None:
    tiny, drift = bundle(data_home, "tiny-1"), watch(data_home, notes)
    drift.add(tiny, {"seconds": 9.0}, ("burr",))
    model = weakref.ref(tiny.model)
    del tiny
    gc.collect()
    assert model() is None


def test_few_answers_are_written_but_no_drift_is_told_of_them(data_home: Home, notes: Notes) -> None:
    drift = watch(data_home, notes)
    drift.count()
    assert notes.told == []
    assert tally_files(data_home) == []
    drift.add(bundle(data_home, "tiny-1"), {"seconds": 9.0}, ("burr",))
    drift.count()
    drift.count()
    assert notes.told == [(1, {})]
    assert read_tally(tally_file(data_home, "w-1")).answers == 1


def test_the_window_slides(data_home: Home, notes: Notes) -> None:
    tiny, drift = bundle(data_home, "tiny-1"), watch(data_home, notes, window=10)
    for seconds in [9.0] * 10 + [1.5] * 8:
        drift.add(tiny, {"seconds": seconds}, ("none",))
    drift.count()
    assert read_tally(tally_file(data_home, "w-1")).counts["seconds"] == [0, 8, 0, 2]


def test_around_a_swap_answers_of_two_bundles_do_not_mix(data_home: Home, notes: Notes) -> None:
    old, new, drift = bundle(data_home, "old-1"), bundle(data_home, "new-1"), watch(data_home, notes)
    for tiny, seconds in ((old, 9.0), (old, 9.0), (new, 1.5), (old, 9.0), (new, 1.5)):
        drift.add(tiny, {"seconds": seconds}, ("none",))
    drift.count()
    tally = read_tally(tally_file(data_home, "w-1"))
    assert (tally.bundle, tally.answers, tally.counts["seconds"]) == ("new-1", 2, [0, 2, 0, 0])
    for name in ("next-1", "next-2"):
        drift.add(replace(new, config=new.config.model_copy(update={"id": name})), {}, ("none",))
    assert list(drift._answers) == ["next-1", "next-2"]


def test_a_folder_that_may_not_be_written_costs_the_file_alone(
    data_home: Home, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    tiny, drift = bundle(data_home, "tiny-1"), watch(data_home, notes)
    data_home.serving.write_text("in the way")
    for _ in range(3):
        drift.add(tiny, {"seconds": 9.0}, ("none",))
        drift.count()
    assert len(notes.told) == 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be written" in caplog.text


def test_a_bundle_whose_files_are_lost_is_no_failure(
    data_home: Home, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    tiny, drift = bundle(data_home, "tiny-1"), watch(data_home, notes)
    (tiny.folder / "statistics.json").write_text("{")
    drift.add(tiny, {"seconds": 9.0}, ("none",))
    with caplog.at_level(logging.WARNING):
        drift.count()
    assert "tiny-1: drift from the training clips cannot be told" in caplog.text
    assert set(read_tally(tally_file(data_home, "w-1")).counts) == {"class"}


def test_files_of_workers_long_gone_are_deleted(data_home: Home, notes: Notes) -> None:
    data_home.serving.mkdir(parents=True)
    for name, age in (("drift-w-1.json", 1e6), ("drift-gone.json", 1e6), ("drift-new.json", 60), ("defects.yaml", 1e6)):
        path = data_home.serving / name
        path.write_text("{}")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    drift = watch(data_home, notes)
    drift.start()
    drift.close()
    assert {path.name for path in data_home.serving.iterdir()} == {"drift-w-1.json", "drift-new.json", "defects.yaml"}


def test_a_worker_has_a_file_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNYATNO_SERVICE_PORT", "8123")
    monkeypatch.setattr("socket.gethostname", lambda: "a/../host.lan")
    assert worker_name(3) == "a-host-lan-8123-3"
    assert worker_name(None) == "a-host-lan-8123-0"


def test_requests_fill_the_window(data_home: Home) -> None:
    folder = write_tiny_bundle(data_home, "tiny-1", metrics=JUDGED)
    publish(data_home, "tiny-1")
    app = started(data_home, SETTINGS.model_copy(update={"drift_window": 10}))
    write_json(folder / "statistics.json", STATISTICS)
    try:
        with TestClient(app) as client:
            speech = encoded(hum(1.5), "WAV")
            named = [client.post("/api/predict", files={"file": ("a", speech)}).json()["class"] for _ in range(2)]
            client.post("/api/predict", files={"file": ("a", b"no sound")})
    finally:
        ended(app)
    (path,) = tally_files(data_home)
    tally = json.loads(Path(path).read_text())
    assert tally["answers"] == 2
    assert tally["counts"]["seconds"] == [0, 2, 0, 0]
    assert tally["counts"]["class"][CLASSES.index(named[0])] == 2
    assert "unmeasured" not in tally["counts"]

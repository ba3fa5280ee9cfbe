"""A disk that is full while calls are judged: what is done stays, the rest is judged when there is room."""

from __future__ import annotations

import logging
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from calls import crew
from calls.archive import NewCallArchive
from calls.crew import Crew
from calls.intake import IntakeLimits, from_zip
from calls.results import lines
from calls.store import Store
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.defects.diagnose import Diagnosis, diagnose
from speech.home import Home
from speech.longform.cutter import Listening, LongLimits
from speech.whisper.hearer_pool import HearerPool
from tests.bundles import write_tiny_bundle
from tests.disks import fill, small_disk
from tests.recordings import babble, encoded

CALLS = 5


@pytest.fixture
def bundle(tmp_path: Path) -> LoadedBundle:
    return load_bundle(write_tiny_bundle(Home(tmp_path / "home"), "tiny-1", seed=1))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "calls.zip", "w") as zipped:
        for number in range(CALLS):
            zipped.writestr(f"{number}.wav", encoded(babble(60, 4.0, seed=number, pause=1.0)))
    return tmp_path / "calls.zip"


def judging(folder: Path, archive: Path, bundle: LoadedBundle, pool: ThreadPoolExecutor) -> tuple[Store, Crew]:
    """A store below `folder`, and who judges the archive's calls one after another."""
    store = Store(folder)
    store.folder_of("a").mkdir()
    new = NewCallArchive("a", "local", "zip", archive.name, 0, Listening(), str(archive))
    store.add(new, from_zip(archive, archive.name, IntakeLimits()))

    def submit(_: str, samples: np.ndarray) -> Future[Diagnosis]:
        return pool.submit(lambda: diagnose(bundle.model, [samples], bundle.calibration)[0])

    return store, Crew(
        store, lambda: bundle, submit, lambda _: LongLimits(), HearerPool("base", pool.submit), 1, threads=1
    )


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counted(store: Store) -> dict[str, int]:
    found = store.archive("a")
    assert found is not None
    return dict(found.files)


@pytest.mark.system
def test_what_is_done_stays_and_the_rest_is_judged_when_there_is_room(
    tmp_path: Path,
    archive: Path,
    bundle: LoadedBundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(crew, "_PAUSE_SECONDS", 0.3)
    with small_disk(tmp_path / "small", 4), ThreadPoolExecutor(1) as pool:
        store, judges = judging(tmp_path / "small" / "batches", archive, bundle, pool)
        judges.start()
        try:
            until(lambda: counted(store).get("done", 0) >= 1)
            fill(tmp_path / "small" / "ballast")
            # Room may end when a call is taken, judged or given back: each time it pauses.
            until(lambda: sum(record.levelno >= logging.ERROR for record in caplog.records) >= 3)
            done = counted(store)["done"]
            assert 1 <= done < CALLS
            assert counted(store).get("failed", 0) == 0
            before = list(lines(store, "a"))
            assert len(before) == done  # they can be fetched
            assert list(store.folder.glob("holders/.work/*/*")) == []  # what was half unpacked takes no room
            (tmp_path / "small" / "ballast").unlink()
            until(lambda: counted(store) == {"done": CALLS})
        finally:
            judges.close()
        after = list(lines(store, "a"))
        assert after[:done] == before
        roomy, undisturbed = judging(tmp_path / "roomy", archive, bundle, pool)
        undisturbed.start()
        until(lambda: counted(roomy) == {"done": CALLS})
        undisturbed.close()
    assert after == list(lines(roomy, "a"))

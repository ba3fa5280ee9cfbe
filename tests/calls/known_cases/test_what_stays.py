"""What stays after kills and deletions: nothing on disk, no call that nobody judges; and what a large batch costs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calls import crew
from calls.archive import NewCall, NewCallArchive
from calls.claims import Claims
from calls.keeping import delete, remove_uploads, sweep
from calls.store import FILE, Store
from speech.longform.cutter import Listening, LongLimits
from speech.whisper.hearer_pool import HearerPool

ROOT = Path(__file__).parents[3]
HEARD = {"seconds": 60.0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "batches")


def added(store: Store, archive: str, count: int, kind: Any = "files") -> None:
    store.folder_of(archive).mkdir()
    calls = (NewCall(f"{archive} {number}.wav", str(number), 10) for number in range(count))
    store.add(NewCallArchive(archive, "local", kind, "some", 10, Listening()), calls)


_KILLED = """
import os, sys
from pathlib import Path
from calls.claims import Claims
from calls.sources import Sources
from calls.store import Store
from calls.temporary import temporary_folder
store = Store(Path(sys.argv[1]))
claims = Claims(store)
claim = claims.take("b")
(temporary_folder(store.folder, claims.holder) / "results-1.xlsx").write_bytes(b"results")
with Sources(store.folder).file(claim) as path:
    assert path.read_bytes() == b"secret sound"
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("tidy", [lambda store, claims: claims.bury(), lambda store, claims: sweep(store, None)])
def test_what_a_killed_process_unpacked_or_wrote_goes(store: Store, tidy: Callable[[Store, Claims], Any]) -> None:
    added(store, "a", 2, "zip")
    with zipfile.ZipFile(store.folder_of("a") / "archive.zip", "w") as zipped:
        zipped.writestr("a 0.wav", b"secret sound")
    command = [sys.executable, "-c", _KILLED, str(store.folder)]
    assert subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode == -9
    assert len(list(store.folder.glob("holders/.work/*/*"))) == 2
    claims = Claims(store)
    own = store.folder / "holders/.work" / claims.holder / "call-1.wav"
    own.parent.mkdir()
    own.touch()
    tidy(store, claims)
    assert list(store.folder.glob("holders/.work/*/*")) == [own]
    assert (store.folder_of("a") / "archive.zip").exists()
    claims.close()
    assert list(store.folder.glob("holders/.work/*")) == []


def test_of_a_batch_that_has_ended_nothing_stays(store: Store) -> None:
    added(store, "a", 1)
    for name in ("archive.zip", ".call-old.wav", ".results-old.xlsx", "lock"):
        (store.folder_of("a") / name).touch()
    store.cancel("a")
    remove_uploads(store, "a")
    assert [path.name for path in store.folder_of("a").iterdir()] == ["lock"]


def test_a_deleted_batch_is_in_no_file_of_the_database(store: Store) -> None:
    added(store, "secret", 50)
    added(store, "other", 1)
    wal = store.folder / f"{FILE}-wal"
    assert b"secret 7.wav" in wal.read_bytes()
    delete(store, "secret")
    assert b"secret" not in wal.read_bytes() + (store.folder / FILE).read_bytes()
    assert store.archive("other")


def test_a_log_that_another_process_kept_busy_is_emptied_by_the_next_sweep(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(store, "secret", 5)
    reader = sqlite3.connect(store.folder / FILE, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM items").fetchone()
    store.read("PRAGMA busy_timeout = 50")
    delete(store, "secret")
    reader.close()
    sweep(store, None)
    assert b"secret" not in (store.folder / f"{FILE}-wal").read_bytes() + (store.folder / FILE).read_bytes()


def test_a_call_whose_failure_meets_a_locked_database_is_not_claimed_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a surprise")

    locked: list[str] = []
    fail = Claims.fail

    def fails_twice(claims: Claims, *values: Any) -> None:
        if len(locked) < 2:
            locked.append("locked")
            raise sqlite3.OperationalError("database is locked")
        fail(claims, *values)

    monkeypatch.setattr(crew, "judge_call", broken)
    monkeypatch.setattr(crew, "_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(Claims, "fail", fails_twice)
    added(store, "a", 2)
    bundle: Any = SimpleNamespace(id="b")
    judges = crew.Crew(store, lambda: bundle, broken, lambda _: LongLimits(), HearerPool("base", broken), 1, threads=1)
    judges.start()
    try:
        deadline = time.monotonic() + 20
        while store.state("a") == "running" and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        judges.close()
    assert locked == ["locked", "locked"]
    assert [failure.code for failure in store.failures("a", 5)] == ["internal", "internal"]


def test_a_call_that_cannot_be_read_is_not_claimed(store: Store) -> None:
    added(store, "a", 1)
    with store.transaction() as rows:
        rows.execute("UPDATE batches SET listening = '{}'")
    claims = Claims(store)
    with pytest.raises(KeyError):
        claims.take("b")
    assert store.read("SELECT state, holder FROM items")[0][:] == ("waiting", None)
    claims.close()


def steps(store: Store, work: Callable[[], Any]) -> int:
    """How many hundreds of instructions of SQLite's machine the work takes on this thread."""
    count = 0

    def counted() -> int:
        nonlocal count
        count += 1
        return 0

    with store.transaction() as rows:
        rows.set_progress_handler(counted, 100)
    work()
    with store.transaction() as rows:
        rows.set_progress_handler(None, 0)
    return count


def test_a_finished_call_costs_the_same_in_a_large_batch(store: Store) -> None:
    claims = Claims(store)

    def judged(archive: str) -> None:
        claim = claims.take("b")
        assert claim
        claims.keep(claim, [], 0.5)
        claims.finish(claim, HEARD, [])
        remove_uploads(store, archive)
        now = store.archive(archive)
        assert now
        assert now.seconds_left is not None or now.state == "done"

    cost = []
    for archive, count in (("small", 60), ("large", 6_000)):
        added(store, archive, count)
        for _ in range(55):
            judged(archive)
        cost.append(steps(store, lambda archive=archive: judged(archive)))  # type: ignore[misc]
        store.cancel(archive)
    assert cost[1] <= 2 * cost[0] + 2
    claims.close()


def counted(store: Store) -> list[tuple[Any, ...]]:
    query = (
        "SELECT batch, state, count(*), sum(bytes), sum(bytes * part), sum(seconds) FROM items GROUP BY batch, state"
    )
    return [tuple(row) for row in store.read(query)]


def test_what_is_counted_is_what_there_is(store: Store) -> None:
    added(store, "a", 6)
    added(store, "b", 2)
    claims = Claims(store)
    taken = [claim for _ in range(5) if (claim := claims.take("x"))]
    claims.keep(taken[0], [], 0.25)
    claims.finish(taken[1], HEARD, [])
    claims.fail(taken[2], "not_audio", "no sound")
    claims.release(taken[3])
    claims.start_over(taken[4], "y")
    assert [tuple(row) for row in store.read("SELECT * FROM tallies")] == counted(store)
    store.cancel("a")
    assert [tuple(row) for row in store.read("SELECT * FROM tallies")] == counted(store)
    store.forget("b")
    assert [tuple(row) for row in store.read("SELECT * FROM tallies")] == counted(store) != []
    claims.close()


def test_a_store_of_before_is_counted_when_it_is_opened(store: Store) -> None:
    added(store, "a", 6)
    before = store.archive("a")
    with store.transaction() as rows:
        for name in ("items_added", "items_changed", "items_gone"):
            rows.execute(f"DROP TRIGGER {name}")
        rows.execute("DROP TABLE tallies")
    assert Store(store.folder).archive("a") == before

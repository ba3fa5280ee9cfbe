"""Who may judge which call, whatever ends when."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calls.archive import NewCall, NewCallArchive, listening_as_dict, listening_from_dict
from calls.claims import MOST_DEATHS, Claims, Lost
from calls.errors import IntakeError
from calls.keeping import delete, sweep
from calls.store import FILE, Quota, Store
from speech.longform.cutter import Listening

ROOT = Path(__file__).parents[2]
HEARD = {"seconds": 60.0}


def new(archive: str, owner: str = "local", size: int = 10) -> NewCallArchive:
    return NewCallArchive(archive, owner, "files", "some", size, Listening())


def items(count: int) -> list[NewCall]:
    return [NewCall(f"{number}.wav", f"files/{number}", 10) for number in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "batches")


@pytest.fixture
def claims(store: Store) -> Claims:
    return Claims(store)


def dead_claims(store: Store, bundle: str = "b") -> None:
    """Another process takes a call and is killed."""
    code = (
        "import os, sys; from pathlib import Path; from calls.claims import Claims; from calls.store import Store;"
        "assert Claims(Store(Path(sys.argv[1]))).take(sys.argv[2]); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", code, str(store.folder), bundle]
    assert subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode == -9


def test_every_call_is_judged_once_and_then_the_batch_is_done(store: Store, claims: Claims) -> None:
    store.add(new("a"), [*items(2), NewCall("x.zip", "", 5, "nested_archive", "an archive")])
    first, second = claims.take("b"), claims.take("b")
    assert first and second and claims.take("b") is None  # noqa: PT018
    assert (first.number, second.number) == (0, 1)
    claims.finish(first, HEARD, [])
    with pytest.raises(Lost):
        claims.finish(first, HEARD, [])
    assert (before := store.archive("a")) and before.state == "running"  # noqa: PT018
    claims.fail(second, "not_audio", "no sound")
    after = store.archive("a")
    assert after and (after.state, after.progress, after.seconds) == ("done", 1.0, 60.0)  # noqa: PT018
    assert after.files == {"done": 1, "failed": 2}
    assert [failure.code for failure in store.failures("a", 10)] == ["not_audio", "nested_archive"]


def test_the_batch_with_the_fewest_in_work_is_next(store: Store, claims: Claims) -> None:
    store.add(new("large"), items(9))
    assert claims.take("b")
    store.add(new("small"), items(1))
    assert [claim.archive for claim in (claims.take("b"), claims.take("b")) if claim] == ["small", "large"]


def test_a_killed_process_s_call_is_free_at_once_and_a_living_one_s_never(store: Store, claims: Claims) -> None:
    store.add(new("a"), items(2))
    dead_claims(store)
    living = Claims(store)
    assert living.take("b")
    assert claims.take("b") is None
    assert claims.bury() == 1
    taken = claims.take("b")
    assert taken and taken.number == 0  # noqa: PT018
    assert claims.bury() == 0
    living.close()
    claims.finish(taken, HEARD, [])
    assert claims.take("b")


def test_a_call_that_kills_whoever_judges_it_is_given_up(store: Store, claims: Claims) -> None:
    store.add(new("a"), items(1))
    for _ in range(MOST_DEATHS):
        dead_claims(store)
        claims.bury()
    assert [failure.code for failure in store.failures("a", 10)] == ["given_up"]
    found = store.archive("a")
    assert found and found.state == "done"  # noqa: PT018


def test_a_call_under_suspicion_is_judged_alone_until_it_gets_on(store: Store, claims: Claims) -> None:
    store.add(new("a"), items(4))
    first = claims.take("b")
    assert first
    dead_claims(store)  # of number 1
    claims.bury()
    assert claims.take("b") is None  # until the first is done
    claims.finish(first, HEARD, [])
    suspect = claims.take("b")
    assert suspect and suspect.number == 1  # noqa: PT018
    assert claims.take("b") is None
    other = Claims(store)
    assert (innocent := other.take("b")) and innocent.number == 2  # noqa: PT018
    claims.keep(suspect, [], 0.5)
    assert (last := claims.take("b")) and last.number == 3  # noqa: PT018


def test_cancelled_and_deleted_batches_are_nobody_s_work(store: Store, claims: Claims) -> None:
    store.add(new("a"), items(3))
    claim = claims.take("b")
    assert claim
    store.cancel("a")
    store.cancel("a")
    found = store.archive("a")
    assert found and (found.state, found.files) == ("cancelled", {"cancelled": 3})  # noqa: PT018
    for gone in (lambda: claims.finish(claim, HEARD, []), lambda: claims.release(claim)):
        with pytest.raises(Lost):
            gone()
    delete(store, "a")
    delete(store, "a")
    assert store.archive("a") is None
    assert claims.take("b") is None


def test_nobody_sees_another_s_batches_and_nobody_has_more_than_the_quota(store: Store) -> None:
    quota = Quota(archives=2, bytes=25)
    store.add(new("a", "key:anna"), items(1), quota)
    store.add(new("b", "key:boris"), items(1), quota)
    assert store.archive("a", "key:boris") is None
    assert [archive.id for archive in store.archives("key:boris", 10)] == ["b"]
    with pytest.raises(IntakeError) as refused:
        store.add(new("c", "key:anna", size=16), items(1), quota)
    assert refused.value.code == "quota_bytes"
    store.add(new("c", "key:anna"), items(1), quota)
    with pytest.raises(IntakeError) as refused:
        store.add(new("d", "key:anna"), items(1), quota)
    assert refused.value.code == "too_many_batches"
    assert store.archive("d") is None


def test_old_batches_and_what_broken_intakes_left_are_swept(store: Store, claims: Claims) -> None:
    for name in ("old", "young"):
        store.add(new(name), [NewCall(f"{name}-secret.wav", "", 1, "empty", "empty")])
        store.folder_of(name).mkdir()
    with store.transaction() as rows:
        rows.execute("UPDATE batches SET finished = finished - 86400 * 31 WHERE id = 'old'")
    (store.folder / "broken").mkdir()
    (store.folder / "beginning").mkdir()
    long_ago = time.time() - 3600
    os.utime(store.folder / "broken", (long_ago, long_ago))
    sweep(store, 30)
    assert {path.name for path in store.folder.iterdir() if path.is_dir()} == {"young", "beginning", "holders"}
    assert [archive.id for archive in store.archives("local", 10)] == ["young"]
    store.read("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"old-secret.wav" not in (store.folder / FILE).read_bytes()


def test_the_time_left_is_what_was_measured(store: Store, claims: Claims) -> None:
    store.add(new("a"), items(4))
    for took in (20.0, 40.0):
        claim = claims.take("b")
        assert claim
        claims.finish(claim, HEARD, [])
        with store.transaction() as rows:
            rows.execute("UPDATE items SET started = finished - ? WHERE number = ?", (took, claim.number))
    found = store.archive("a")
    assert found and found.seconds_left == pytest.approx(60.0)  # noqa: PT018
    assert found.progress == 0.5


def test_how_calls_are_heard_is_stored_under_the_names_of_the_file() -> None:
    listening = Listening(each_channel=True, window_seconds=5.0)
    stored = {"sides": True, "window_seconds": 5.0, "transcript": False}
    assert listening_as_dict(listening) == stored
    assert listening_from_dict(stored) == listening

"""One call under a bundle that stays, that is swapped, or that was killed before: judged once, by one bundle."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calls.batch import Claim, NewBatch, NewItem
from calls.claims import Claims
from calls.results import FileRows, WindowRows, records
from calls.sources import Sources
from calls.store import Store
from calls.work import Stopped, Tools, in_service, judge_call
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.defects.diagnose import Diagnosis, diagnose
from speech.home import Home
from speech.longform.cutter import Listening, LongLimits, hearing_server
from speech.text.alignment import TimedWord
from speech.whisper.hearer_pool import HearerPool
from tests.bundles import write_tiny_bundle
from tests.long import room, sentence, written
from tests.recordings import babble, encoded

MADE: list[Worker] = []  # by the test that runs


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


class Worker:
    """Judges on the calling thread; `before` is called with the number of windows so far, before each."""

    def __init__(self, store: Store, current: list[LoadedBundle], before: Callable[[int], None] | None = None) -> None:
        self.count = 0
        self.claims = Claims(store)
        self._current, self._before = current, before or (lambda _: None)
        self.tools = Tools(
            self.claims, Sources(store.folder), self.bundle, self.submit, lambda _: LongLimits(), 1, lambda: False,
            hearing_server(), HearerPool("base", self.hear),
        )  # fmt: skip
        MADE.append(self)

    def close(self) -> None:
        self.tools.hearing.close()
        self.tools.hearers.close()
        self.tools.sources.close()

    def bundle(self) -> LoadedBundle:
        return self._current[0]

    def submit(self, wanted: str, samples: np.ndarray) -> Future[Diagnosis]:
        future: Future[Diagnosis] = Future()
        try:
            self._before(self.count)
            bundle = in_service(self.bundle, wanted)
            future.set_result(diagnose(bundle.model, [samples], bundle.calibration)[0])
            self.count += 1
        except Exception as error:  # of any kind, as an executor hands on what its call raised
            future.set_exception(error)
        return future

    def hear(self, call: Callable[[], list[TimedWord]]) -> Future[list[TimedWord]]:
        future: Future[list[TimedWord]] = Future()
        future.set_result(call())
        return future

    def take(self) -> Claim:
        claim = self.claims.take(self.bundle().id)
        assert claim
        return claim


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = Home(tmp_path_factory.mktemp("home"))
    return write_tiny_bundle(home, "old", seed=1), write_tiny_bundle(home, "new", seed=2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "batches")
    folder = store.folder_of("a") / "files"
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(encoded(babble(160, 4.0, seed=3, pause=1.0), "FLAC"))
    store.add(NewBatch("a", "local", "files", "one", 1, Listening()), [NewItem("a.flac", "files/0", 1)])
    return store


def test_what_was_judged_before_a_kill_is_not_judged_again(store: Store, bundles: tuple[Path, Path]) -> None:
    current = [load_bundle(bundles[0])]

    def end_at_third(count: int) -> None:
        if count == 3:
            raise Stopped

    killed = Worker(store, current, end_at_third)
    claim = killed.take()
    with pytest.raises(Stopped):
        judge_call(claim, killed.tools)
    killed.claims.release(claim)
    second = Worker(store, current)
    judge_call(second.take(), second.tools)
    (record,) = records(store, "a")
    assert record["state"] == "done"
    assert second.count == len(record["windows"]) - 3
    assert second.claims.take("old") is None


def test_a_window_that_is_left_out_since_the_process_ends_fails_no_call(
    store: Store, bundles: tuple[Path, Path]
) -> None:
    worker, ending = Worker(store, [load_bundle(bundles[0])]), threading.Event()

    def left_out(_: str, __: np.ndarray) -> Future[Diagnosis]:
        ending.set()
        future: Future[Diagnosis] = Future()
        future.cancel()
        return future

    claim = worker.take()
    with pytest.raises(Stopped):
        judge_call(claim, replace(worker.tools, submit=left_out, stopped=ending.is_set))
    worker.claims.release(claim)
    assert worker.take().batch == claim.batch


def test_a_swap_in_the_middle_starts_the_call_over_and_holds_no_old_model(
    store: Store, bundles: tuple[Path, Path]
) -> None:
    current = [load_bundle(bundles[0])]
    old = weakref.ref(current[0].model)
    alive: list[bool] = []

    def swap_at_second(count: int) -> None:
        if count == 2 and current[0].id == "old":
            current[0] = load_bundle(bundles[1])
        if count == 3:
            gc.collect()
            alive.append(old() is not None)

    worker = Worker(store, current, swap_at_second)
    judge_call(worker.take(), worker.tools)
    (record,) = records(store, "a")
    assert record["bundle"] == "new"
    assert alive == [False]
    alone = Store(store.folder.parent / "alone")
    (alone.folder_of("a") / "files").mkdir(parents=True)
    (alone.folder_of("a") / "files" / "0").write_bytes((store.folder_of("a") / "files" / "0").read_bytes())
    alone.add(NewBatch("a", "local", "files", "one", 1, Listening()), [NewItem("a.flac", "files/0", 1)])
    undisturbed = Worker(alone, current)
    judge_call(undisturbed.take(), undisturbed.tools)
    assert list(records(alone, "a")) == [record]


def test_each_side_keeps_its_own_words_with_their_times(store: Store, bundles: tuple[Path, Path]) -> None:
    quiet = np.zeros(len(sentence("city")), np.float32)
    left = np.concatenate([room(1.0), sentence("forest"), room(1.0), quiet])
    right = np.concatenate([room(1.0), np.zeros(len(sentence("forest")), np.float32), room(1.0), sentence("city")])
    folder = store.folder_of("b") / "files"
    folder.mkdir(parents=True)
    written(folder / "0.wav", np.stack([left, right], axis=1))
    store.cancel("a")
    store.add(
        NewBatch("b", "local", "files", "one", 1, Listening(sides=True, transcript=True)),
        [NewItem("talk.wav", "files/0.wav", 1)],
    )
    worker = Worker(store, [load_bundle(bundles[0])])
    judge_call(worker.take(), worker.tools)
    (record,) = records(store, "b")
    heard = {side: [] for side in (0, 1)}
    for window in record["windows"]:
        heard[window["side"]] += window["transcript"]
        assert all(window["start"] <= word["start"] <= word["end"] <= window["end"] for word in window["transcript"])
    assert {"густой", "лес"} <= {word["text"].lower() for word in heard[0]}
    assert heard[1]
    assert not {"густой", "лес"} & {word["text"].lower() for word in heard[1]}
    assert heard[0][0]["start"] > 0.8
    assert heard[1][0]["start"] > 1.8 + len(sentence("forest")) / 16_000
    files, windows = FileRows(store, "b"), WindowRows(store, "b")
    texts = [row[files.header.index("text")] for row in files]
    assert texts == [" ".join(word["text"] for word in heard[side]) for side in (0, 1)]
    assert [row[windows.header.index("text")] for row in windows] == texts


def test_a_file_that_is_gone_or_no_sound_is_that_file_s_failure(store: Store, bundles: tuple[Path, Path]) -> None:
    (store.folder_of("a") / "files" / "0").unlink()
    worker = Worker(store, [load_bundle(bundles[0])])
    judge_call(worker.take(), worker.tools)
    assert [failure.code for failure in store.failures("a", 9)] == ["gone"]

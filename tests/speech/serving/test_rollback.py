from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from filelock import FileLock

import speech.serving.pointer
from speech.bundles.defects import BundleError, verify
from speech.bundles.gate import Gate, GateRefused
from speech.home import Home
from speech.serving.history import read_history
from speech.serving.pointer import (
    NoPreviousError,
    Pointer,
    PointerError,
    PointerMovedError,
    pointer_file,
    publish,
    read_pointer,
    rollback,
)
from tests.bundles import METRICS, write_tiny_bundle


@pytest.fixture
def home(data_home: Home) -> Home:
    """tiny-2 serves, before it tiny-1 did; tiny-3 is ready."""
    for name in ("tiny-1", "tiny-2", "tiny-3"):
        write_tiny_bundle(data_home, name)
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, name)
    return data_home


def served(home: Home) -> tuple[str, str | None]:
    pointer = read_pointer(home)
    assert pointer is not None
    return pointer.current, pointer.previous


def test_what_served_before_serves_again_and_a_second_rollback_returns(home: Home) -> None:
    first = rollback(home)
    assert first == read_pointer(home)
    assert served(home) == ("tiny-1", "tiny-2")
    second = rollback(home)
    assert served(home) == ("tiny-2", "tiny-1")
    assert second.published > first.published


def test_without_a_bundle_before_it_there_is_nothing_to_go_back_to(data_home: Home) -> None:
    with pytest.raises(NoPreviousError, match="nothing is in service yet"):
        rollback(data_home)
    assert not pointer_file(data_home).exists()
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    with pytest.raises(NoPreviousError, match="no bundle served before tiny-1"):
        rollback(data_home)
    assert served(data_home) == ("tiny-1", None)


def gone(home: Home) -> None:
    shutil.rmtree(home.bundles / "tiny-1")


def cut_off(home: Home) -> None:
    os.truncate(home.bundles / "tiny-1" / "model.safetensors", 100)


def altered(home: Home) -> None:
    """As long as before, so that only its checksum tells."""
    with (home.bundles / "tiny-1" / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")


def refused(home: Home) -> None:
    gone(home)
    write_tiny_bundle(home, "tiny-1", gate=Gate(min_macro_f1=0.9))


def without_figures(home: Home) -> None:
    gone(home)
    write_tiny_bundle(home, "tiny-1", metrics=METRICS | {"per_class": ["none"]})


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (gone, BundleError, "there is no bundle at .*tiny-1"),
        (cut_off, BundleError, "tiny-1/model.safetensors was changed or cut off"),
        (altered, BundleError, "tiny-1/model.safetensors was changed or cut off"),
        (refused, GateRefused, "macro-F1 0.800, at least 0.900"),
        (without_figures, BundleError, "tiny-1/metrics.json, field per_class"),
    ],
)
def test_a_bundle_that_cannot_serve_leaves_the_pointer_and_the_history(
    home: Home, spoil: Callable[[Home], None], error: type[Exception], message: str
) -> None:
    spoil(home)
    before, history = pointer_file(home).read_bytes(), read_history(home)
    with pytest.raises(error, match=message):
        rollback(home)
    assert pointer_file(home).read_bytes() == before
    assert read_history(home) == history


def test_a_broken_pointer_is_left_for_a_publication_to_mend(home: Home) -> None:
    pointer_file(home).write_text("current: [")
    with pytest.raises(PointerError, match="cannot be read"):
        rollback(home)
    assert pointer_file(home).read_text() == "current: ["


@pytest.mark.parametrize("meanwhile", [rollback, lambda home: publish(home, "tiny-3")], ids=["rollback", "publish"])
def test_a_pointer_that_moves_while_the_bundle_is_checked_is_not_moved_back(
    home: Home, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Home], object]
) -> None:
    pending = [meanwhile]

    def checked(folder: Path) -> None:
        if pending:
            pending.pop()(home)
        verify(folder)

    monkeypatch.setattr(speech.serving.pointer, "verify", checked)
    with pytest.raises(PointerMovedError, match="tiny-2 no longer serves"):
        rollback(home)
    assert served(home) == (read_history(home)[-1].after, "tiny-2")
    assert len(read_history(home)) == 3


def test_two_rollbacks_at_once_move_the_pointer_as_often_as_they_say(home: Home) -> None:
    start = Barrier(2)

    def roll(_: int) -> Pointer | None:
        start.wait()
        try:
            return rollback(home)
        except PointerMovedError:
            return None

    with ThreadPoolExecutor(2) as pool:
        done = [pointer for pointer in pool.map(roll, range(2)) if pointer is not None]
    assert done
    assert served(home) == (("tiny-1", "tiny-2") if len(done) == 1 else ("tiny-2", "tiny-1"))
    assert [change.action for change in read_history(home)[2:]] == ["rolled_back"] * len(done)


def test_rollbacks_and_publications_at_once_leave_one_unbroken_chain(home: Home) -> None:
    def publications() -> None:
        for turn in range(10):
            publish(home, ("tiny-3", "tiny-1")[turn % 2])

    def rollbacks() -> int:
        done = 0
        for _ in range(10):
            try:
                rollback(home)
            except PointerMovedError:
                continue
            done += 1
        return done

    with ThreadPoolExecutor(2) as pool:
        publishing, rolling = pool.submit(publications), pool.submit(rollbacks)
        publishing.result()
        done = rolling.result()
    history = read_history(home)
    assert [change.before for change in history[1:]] == [change.after for change in history[:-1]]
    assert served(home) == (history[-1].after, history[-1].before)
    assert sum(change.action == "rolled_back" for change in history) == done


def test_a_lock_that_is_held_too_long_is_a_clear_error(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech.serving.pointer, "_LOCK_SECONDS", 0.1)
    with FileLock(pointer_file(home).with_suffix(".lock")):
        with pytest.raises(PointerMovedError, match=r"defects\.lock .* try again"):
            rollback(home)
        with pytest.raises(PointerMovedError, match=r"defects\.lock"):
            publish(home, "tiny-3")
    assert served(home) == ("tiny-2", "tiny-1")

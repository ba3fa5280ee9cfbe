from __future__ import annotations

import os
import re
import shutil
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import api.worker.last_good
import api.worker.loader
import api.worker.memory
from api.observe.metric_definitions import REASONS
from api.worker.attempts import FIRST_PAUSE, LONGEST_PAUSE
from api.worker.loader import Loader
from api.worker.memory import freeze_libraries, unfreeze_libraries
from api.worker.recipes import DEFECTS, dagster_url
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.home import Home
from speech.serving.pointer import pointer_file, publish, rollback
from tests.bundles import tiny_model, write_tiny_bundle


class Notes:
    """What the loader told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.reasons: list[str] = []

    def serving(self, bundle: LoadedBundle, seconds: float) -> None:
        self.told.append(bundle.id)
        assert seconds > 0

    def refused(self, reason: str, recipe: str) -> None:
        assert reason in REASONS
        assert recipe == "defects"
        self.told.append("refused")
        self.reasons.append(reason)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loader(data_home: Home, notes: Notes, clock: Clock) -> Loader[LoadedBundle]:
    return Loader(DEFECTS, data_home, notes, clock=clock)


def point(home: Home, text: str) -> None:
    """Write the pointer by hand, as nothing in the project would."""
    home.serving.mkdir(parents=True, exist_ok=True)
    pointer_file(home).write_text(text)


def served(loader: Loader) -> str | None:
    return loader.state.serving.bundle.id if loader.state.serving else None


def good(home: Home, *names: str) -> None:
    for seed, name in enumerate(names):
        write_tiny_bundle(home, name, seed=seed)


def truncated(home: Home) -> None:
    os.truncate(write_tiny_bundle(home, "bad-1") / "model.safetensors", 5000)
    point(home, "current: bad-1\n")


def changed(home: Home) -> None:
    with (write_tiny_bundle(home, "bad-1") / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    point(home, "current: bad-1\n")


def without_numbers(home: Home) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.other_words.classes.weight[0, 0] = float("nan")
    write_tiny_bundle(home, "bad-1", model=model)
    point(home, "current: bad-1\n")


def overflowing(home: Home) -> None:
    """Finite weights whose output is not: only the warm-up finds it."""
    model = tiny_model()
    with torch.no_grad():
        model.other_words.classes.weight.fill_(3e38)
        model.other_words.features[1].bias.fill_(1e3)
    write_tiny_bundle(home, "bad-1", model=model)
    point(home, "current: bad-1\n")


def incomplete(home: Home) -> None:
    (write_tiny_bundle(home, "bad-1") / "config.yaml").unlink()
    point(home, "current: bad-1\n")


def under_another_name(home: Home) -> None:
    shutil.copytree(home.bundles / "good-1", home.bundles / "bad-1")
    point(home, "current: bad-1\n")


def nowhere(home: Home) -> None:
    point(home, "current: bad-1\n")


def half_written(home: Home) -> None:
    point(home, "current: good")


def no_yaml(home: Home) -> None:
    point(home, "current: [")


def emptied(home: Home) -> None:
    point(home, "")


def outside(home: Home) -> None:
    point(home, "current: ../bundles/good-1\n")


def taken_away(home: Home) -> None:
    pointer_file(home).unlink()


BROKEN = [
    truncated, changed, without_numbers, overflowing, incomplete, under_another_name, nowhere,
    half_written, no_yaml, emptied, outside, taken_away,
]  # fmt: skip


def test_nothing_published_is_nothing_served_and_no_failure(loader: Loader, notes: Notes) -> None:
    loader.look()
    assert loader.state == api.worker.loader.State()
    assert notes.told == []


def test_the_published_bundle_is_served_and_followed(data_home: Home, loader: Loader, notes: Notes) -> None:
    good(data_home, "good-1", "good-2")
    for name in ("good-1", "good-2"):
        publish(data_home, name)
        loader.look()
        loader.look()
        assert served(loader) == name
    assert notes.told == ["good-1", "good-2"]
    assert loader.state.serving is not None
    assert loader.state.serving.previous == "good-1"
    assert loader.state.serving.published.startswith("20")


@pytest.mark.parametrize("spoil", BROKEN)
def test_what_is_broken_changes_nothing_and_is_said_once(
    data_home: Home, loader: Loader, notes: Notes, clock: Clock, spoil: Callable[[Home], None]
) -> None:
    good(data_home, "good-1")
    publish(data_home, "good-1")
    loader.look()
    model = loader.state.serving
    spoil(data_home)
    for _ in range(5):
        loader.look()
        clock.now += LONGEST_PAUSE
    assert loader.state.serving is model
    assert notes.told == ["good-1", "refused"]
    assert loader.state.refused is not None
    assert loader.state.refused.reason
    good(data_home, "good-2")
    publish(data_home, "good-2")
    loader.look()
    assert served(loader) == "good-2"
    assert loader.state.refused is None


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_worker_that_starts_now_takes_what_was_last_good(
    data_home: Home, loader: Loader, notes: Notes, spoil: Callable[[Home], None]
) -> None:
    good(data_home, "good-1")
    publish(data_home, "good-1")
    Loader(DEFECTS, data_home, Notes()).look()
    spoil(data_home)
    loader.look()
    assert served(loader) == "good-1"
    assert loader.state.refused is not None
    assert notes.told == ["refused", "good-1"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "files"), (changed, "files"), (incomplete, "files"), (without_numbers, "weights"),
        (overflowing, "numbers"), (under_another_name, "config"), (nowhere, "missing"), (no_yaml, "pointer"),
        (taken_away, "pointer"),
    ],
)  # fmt: skip
def test_refusals_are_told_by_kind(
    data_home: Home, loader: Loader, notes: Notes, spoil: Callable[[Home], None], reason: str
) -> None:
    good(data_home, "good-1")
    publish(data_home, "good-1")
    loader.look()
    spoil(data_home)
    loader.look()
    assert notes.reasons == [reason]


def test_without_a_memory_the_previous_bundle_stands_in(data_home: Home, loader: Loader) -> None:
    good(data_home, "good-1", "good-2")
    publish(data_home, "good-1")
    publish(data_home, "good-2")
    shutil.rmtree(data_home.bundles / "good-2")
    loader.look()
    assert served(loader) == "good-1"
    assert loader.state.refused is not None
    assert loader.state.refused.bundle == "good-2"


@pytest.mark.parametrize("memory", ["good-9\n", "../x\n", ""])
def test_a_broken_memory_is_no_harm(data_home: Home, loader: Loader, memory: str) -> None:
    good(data_home, "good-1")
    nowhere(data_home)
    (data_home.serving / "defects.last_good").write_text(memory)
    loader.look()
    assert loader.state.serving is None
    assert loader.state.refused is not None
    publish(data_home, "good-1")
    loader.look()
    assert served(loader) == "good-1"
    assert (data_home.serving / "defects.last_good").read_text() == "good-1\n"


def test_back_to_the_bundle_in_service_ends_the_refusal(data_home: Home, loader: Loader, notes: Notes) -> None:
    good(data_home, "good-1")
    publish(data_home, "good-1")
    loader.look()
    nowhere(data_home)
    loader.look()
    publish(data_home, "good-1")
    loader.look()
    assert loader.state.refused is None
    assert notes.told == ["good-1", "refused"]


def test_a_bundle_that_was_mended_is_taken(data_home: Home, loader: Loader, notes: Notes, clock: Clock) -> None:
    good(data_home, "good-1", "good-2")
    publish(data_home, "good-1")
    loader.look()
    weights = data_home.bundles / "good-2" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    point(data_home, "current: good-2\n")
    loader.look()
    weights.write_bytes(whole)
    loader.look()
    assert served(loader) == "good-1"  # not at once: it may still be being written
    clock.now += FIRST_PAUSE
    loader.look()
    assert served(loader) == "good-2"
    assert notes.told == ["good-1", "refused", "good-2"]


def test_a_bundle_that_keeps_changing_is_tried_ever_more_rarely(
    data_home: Home, loader: Loader, notes: Notes, clock: Clock
) -> None:
    folder = write_tiny_bundle(data_home, "bad-1")
    point(data_home, "current: bad-1\n")
    for step in range(200):
        (folder / "README.md").write_text(str(step))
        loader.look()
        clock.now += 0.5
    assert 5 <= notes.told.count("refused") <= 8  # 100 s: after 0, 1, 3, 7, 15, 31, 63 s


def test_a_fault_of_the_disk_is_tried_again_without_a_change(
    data_home: Home, loader: Loader, notes: Notes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(data_home, "good-1")
    publish(data_home, "good-1")
    faults = [OSError(5, "input/output error"), MemoryError()]

    def faulty(folder: Path, device: str) -> LoadedBundle:
        if faults:
            raise faults.pop(0)
        return load_bundle(folder, device)

    monkeypatch.setattr(loader, "recipe", replace(DEFECTS, load=faulty))
    for expected in (["refused"], ["refused"] * 2, ["refused"] * 2, ["refused", "refused", "good-1"]):
        loader.look()
        assert notes.told == expected
        clock.now += FIRST_PAUSE
    assert notes.reasons == ["disk", "memory"]


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.00 GiB free"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError("12 GiB"),
    ],
)
@pytest.mark.parametrize("moment", ["load", "prepare", "try_out"])
def test_memory_that_is_missing_at_a_swap_is_given_back_and_asked_for_again(
    data_home: Home, notes: Notes, clock: Clock, monkeypatch: pytest.MonkeyPatch, fault: Exception, moment: str
) -> None:
    good(data_home, "good-1", "good-2")
    publish(data_home, "good-1")
    failed: list[weakref.ref[LoadedBundle]] = []
    given_back: list[bool] = []
    lacking = [False]

    def take(bundle: LoadedBundle, at: str) -> LoadedBundle:
        if lacking[0] and at == moment:
            failed.append(weakref.ref(bundle))
            raise type(fault)(*fault.args)  # a new one, since what is kept of one keeps the bundle
        return bundle

    recipe = replace(
        DEFECTS,
        load=lambda folder, device: take(load_bundle(folder, device), "load"),
        try_out=lambda bundle: DEFECTS.try_out(take(bundle, "try_out")),
    )
    loader = Loader(recipe, data_home, notes, clock=clock, prepare=lambda bundle: take(bundle, "prepare"))
    loader.look()
    monkeypatch.setattr(
        api.worker.memory, "release_memory", lambda: given_back.append(all(bundle() is None for bundle in failed))
    )
    lacking[0] = True
    publish(data_home, "good-2")
    loader.look()
    assert given_back == [True]  # to the card as well, and the failed model was gone by then
    assert served(loader) == "good-1"
    assert loader.state.refused is not None
    assert loader.state.refused.reason.endswith("; it is tried again by itself")
    assert re.match("memory (of the machine )?is missing", loader.state.refused.reason)
    loader.look()
    assert len(failed) == 1  # not at once
    clock.now += FIRST_PAUSE
    loader.look()
    assert (len(failed), notes.reasons) == (2, ["memory", "memory"])
    lacking[0] = False
    clock.now += 2 * FIRST_PAUSE
    loader.look()
    assert served(loader) == "good-2"
    assert loader.state.refused is None


def test_a_card_that_does_not_compute_is_refused_with_the_remedy(
    data_home: Home, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_card(folder: Path, device: str) -> LoadedBundle:
        raise AssertionError("Torch not compiled with CUDA enabled")

    good(data_home, "good-1")
    publish(data_home, "good-1")
    monkeypatch.setattr(loader, "recipe", replace(DEFECTS, load=no_card))
    loader.look()
    assert loader.state.refused is not None
    assert "`make setup TORCH=cuda` installs" in loader.state.refused.reason
    assert "again" not in loader.state.refused.reason


def test_the_thread_follows_the_pointer_and_survives_surprises(
    data_home: Home, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(data_home, "good-1", "good-2")
    publish(data_home, "good-1")
    loader = Loader(DEFECTS, data_home, notes, poll_seconds=0.05)
    loader.start()
    try:
        assert served(loader) == "good-1"  # before `start` returns
        monkeypatch.setattr(api.worker.loader, "read_pointer", lambda *_: 1 / 0)
        api.worker.loader.threading.Event().wait(0.2)
        monkeypatch.undo()
        publish(data_home, "good-2")
        for _ in range(200):
            if served(loader) == "good-2":
                break
            api.worker.loader.threading.Event().wait(0.05)
        assert served(loader) == "good-2"
    finally:
        loader.close()


def test_a_model_that_no_longer_serves_is_freed(data_home: Home, loader: Loader) -> None:
    good(data_home, "good-1", "good-2")
    publish(data_home, "good-1")
    loader.look()
    assert loader.state.serving is not None
    encoder = loader.state.serving.bundle.model.encoder
    parts = [weakref.ref(part) for part in encoder.modules()]  # type: ignore[union-attr]
    publish(data_home, "good-2")
    loader.look()
    loader.look()
    assert any(part() is not None for part in parts)  # a request still holds it
    del encoder
    publish(data_home, "good-1")
    loader.look()
    loader.look()
    assert all(part() is None for part in parts)


def test_the_first_model_of_a_worker_is_freed_too(data_home: Home, notes: Notes) -> None:
    good(data_home, "good-1", "good-2")
    publish(data_home, "good-1")
    loader = Loader(DEFECTS, data_home, notes, poll_seconds=0.05)
    freeze_libraries()  # as a worker does when it starts
    loader.start()
    try:
        assert loader.state.serving is not None
        parts = [weakref.ref(part) for part in loader.state.serving.bundle.model.modules()]
        publish(data_home, "good-2")
        for _ in range(200):
            if all(part() is None for part in parts):
                break
            api.worker.loader.threading.Event().wait(0.05)
        assert [part() for part in parts if part() is not None] == []
    finally:
        loader.close()
        unfreeze_libraries()


def test_a_folder_that_cannot_be_written_does_not_hinder_serving(
    data_home: Home, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(data_home, "good-1")
    publish(data_home, "good-1")

    def refuse(path: Path, data: str) -> None:
        raise PermissionError(13, "read-only", str(path))

    monkeypatch.setattr(api.worker.last_good, "write_atomically", refuse)
    loader.look()
    assert served(loader) == "good-1"


def test_what_the_pointer_says_of_the_bundle_in_service_is_followed_too(data_home: Home, loader: Loader) -> None:
    good(data_home, "good-1", "good-2")
    publish(data_home, "good-1")
    loader.look()
    publish(data_home, "good-2")
    pointer = rollback(data_home)  # both between two looks: the same bundle serves, and another one did before it
    loader.look()
    serving = loader.state.serving
    assert serving is not None
    assert (serving.bundle.id, serving.previous, serving.published) == ("good-1", "good-2", pointer.published)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://127.0.0.1:3000"),
        ({"VNYATNO_DAGSTER_PORT": "3100", "VNYATNO_PROXY": "off"}, "http://127.0.0.1:3100"),
        ({"VNYATNO_HOST": "0.0.0.0", "VNYATNO_PROXY": "on"}, "https://localhost:3000"),
        ({"VNYATNO_HOST": "192.0.2.7", "VNYATNO_DAGSTER_PORT": "3100"}, "http://192.0.2.7:3100"),
        ({"VNYATNO_HOST": "::1"}, "http://[::1]:3000"),
    ],
)
def test_whoever_finds_no_model_is_told_where_dagster_is(environment: dict[str, str], url: str) -> None:
    assert dagster_url(environment) == url
    assert dagster_url() in DEFECTS.remedy

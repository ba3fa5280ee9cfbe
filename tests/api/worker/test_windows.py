"""Windows of calls give way to recordings: on the service's own threads, and in processes that compute for them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch

from api.worker.core_share import TURN_SECONDS
from api.worker.windows import Windows

ROOT = Path(__file__).resolve().parents[3]


class Part(torch.nn.Module):
    """A part of a model that takes `seconds` of its core and counts how often it was computed."""

    def __init__(self, seconds: float = 0.002) -> None:
        super().__init__()
        self.seconds, self.count = seconds, 0

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        self.count += 1
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            pass
        return value


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def busy() -> Iterator[tuple[Windows, Part]]:
    """One core, and a window of many parts that is being computed on it."""
    windows, part, end = Windows(1), Part(), threading.Event()

    def compute() -> None:
        value = torch.zeros(1)
        while not end.is_set():
            value = part(value)

    future = windows.submit(compute)
    until(lambda: part.count > 3)
    yield windows, part
    end.set()
    windows.recordings_use(0, False)
    future.result(10)
    windows.close()


@pytest.mark.parametrize("wanted", [(1, False), (0, True)], ids=["computed", "waiting"])
def test_a_window_stands_still_while_a_recording_wants_its_core(
    busy: tuple[Windows, Part], wanted: tuple[int, bool]
) -> None:
    windows, part = busy
    windows.recordings_use(*wanted)
    time.sleep(0.1)  # it finishes the part that it is in
    before = part.count
    time.sleep(0.4)
    assert part.count == before
    windows.recordings_use(0, False)
    until(lambda: part.count > before)


def test_a_window_stands_still_while_a_recording_is_decoded(busy: tuple[Windows, Part]) -> None:
    windows, part = busy
    with windows.recording_arrives():
        time.sleep(0.1)
        before = part.count
        time.sleep(0.4)
        assert part.count == before
    until(lambda: part.count > before)


def test_recordings_that_never_cease_leave_windows_a_twentieth(busy: tuple[Windows, Part]) -> None:
    windows, part = busy
    windows.recordings_use(1, True)
    time.sleep(0.1)
    before = part.count
    time.sleep(2.5)
    turns = (part.count - before) * part.seconds / TURN_SECONDS
    assert 0.3 < turns < 4


def test_several_threads_take_such_turns_one_after_another() -> None:
    windows, parts, end = Windows(3), [Part(), Part(), Part()], threading.Event()

    def compute(part: Part) -> None:
        while not end.is_set():
            part(torch.zeros(1))

    windows.recordings_use(3, True)
    futures = [windows.submit(partial(compute, part)) for part in parts]
    time.sleep(2.5)
    turns = sum(part.count * part.seconds for part in parts) / TURN_SECONDS
    assert 0.5 < turns < 4  # not as many for each
    end.set()
    windows.recordings_use(0, False)
    for future in futures:
        future.result(10)
    windows.close()


def test_the_longest_stretch_between_two_looks_is_known(busy: tuple[Windows, Part]) -> None:
    windows, part = busy
    assert windows.longest_stretch < 0.1
    part.seconds = 0.15
    until(lambda: windows.longest_stretch >= 0.15)


def test_a_process_that_computes_for_a_window_is_held_up_for_recordings() -> None:
    windows, held, begun, end = Windows(1), [], threading.Event(), threading.Event()

    @contextmanager
    def hold() -> Iterator[None]:
        held.append(time.monotonic())
        yield
        held.append(time.monotonic())

    def computed_elsewhere() -> int:
        begun.set()
        while not end.wait(0.005):
            windows.give_way(hold)
        return 7

    future = windows.process_queue(2)(computed_elsewhere)
    assert begun.wait(10)
    beside = windows.submit(lambda: 8)
    time.sleep(0.1)
    assert held == []
    assert not beside.done()  # the process has the one core
    windows.recordings_use(1, False)
    until(lambda: len(held) == 1)
    time.sleep(0.3)
    assert len(held) == 1
    windows.recordings_use(0, False)
    until(lambda: len(held) == 2)
    assert held[1] - held[0] >= 0.3
    end.set()
    assert (future.result(10), beside.result(10)) == (7, 8)
    windows.close()


def test_closed_ones_break_off_what_is_computed_and_leave_out_what_waits() -> None:
    windows, part = Windows(1), Part()
    submit = windows.process_queue(1)

    def compute() -> None:
        while True:
            part(torch.zeros(1))

    computed = windows.submit(compute)
    until(lambda: part.count > 3)
    waiting = [windows.submit(compute), submit(compute)]
    windows.recordings_use(1, True)  # recordings want the core: it stands still
    time.sleep(0.05)
    windows.close()
    assert isinstance(computed.exception(0), CancelledError)
    late = [windows.submit(compute), submit(compute)]
    assert all(future.cancelled() for future in (*waiting, *late))
    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith(("vnyatno-window", "vnyatno-window-process"))}


def test_a_process_that_ends_while_windows_are_computed_ends_well() -> None:
    program = """
import time, torch
from api.worker.windows import Windows
windows, layer = Windows(2), torch.nn.Linear(64, 64)
def compute():
    while True:
        layer(torch.zeros(256, 64)).sum().item()
futures = [windows.submit(compute) for _ in range(2)]
time.sleep(0.5)
windows.close(30)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")

"""Threads beside the event loop have an end: what was asked before is done, and what comes later is told so."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from fastapi.testclient import TestClient

from api.threads import Closed, Threads, beside
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import ended, started
from tests.api.event_loop import on_event_loop
from tests.api.test_app import SPEECH
from tests.bundles import write_tiny_bundle
from tests.leftovers import running


def test_what_was_asked_before_is_done() -> None:
    threads = Threads(2, "hand")
    done = [threads.submit(lambda number=number: (time.sleep(0.02), number)[1]) for number in range(10)]
    threads.close()
    assert [future.result(0) for future in done] == list(range(10))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vnyatno-hand")]
    threads.close()  # again does no harm


def test_what_comes_later_is_told() -> None:
    threads = Threads(1, "hand")
    threads.close()
    with pytest.raises(Closed):
        threads.submit(print)
    with pytest.raises(Closed):
        asyncio.run(threads.run(print))


def test_what_takes_too_long_is_not_waited_for_and_what_waits_behind_it_is_told() -> None:
    threads, end = Threads(1, "hand"), threading.Event()
    slow, behind = threads.submit(lambda: end.wait(60)), threads.submit(print)
    threads.close(0.2)
    with pytest.raises(Closed):
        behind.result(0)
    assert not slow.done()
    end.set()
    assert slow.result(60)
    threads.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vnyatno-hand")]


@pytest.mark.parametrize("way", ["well", "fault", "cancelled", "cancelled while it is entered", "not entered"])
def test_a_context_manager_is_entered_and_left_beside_the_event_loop(way: str) -> None:
    steps: list[tuple[str, bool]] = []

    @contextmanager
    def slow() -> Iterator[int]:
        time.sleep(0.2)
        steps.append(("entered", on_event_loop()))
        if way == "not entered":
            raise OSError("no folder")
        try:
            yield 1
        finally:
            steps.append(("left", on_event_loop()))

    async def use() -> None:
        async with beside(slow()) as value:
            assert value == 1
            if way == "fault":
                raise OSError("no room")
            await asyncio.sleep(60 if way == "cancelled" else 0)

    async def run() -> None:
        task = asyncio.create_task(use())
        if way.startswith("cancelled"):
            await asyncio.sleep(0.1 if "while" in way else 0.5)
            task.cancel()
        await task

    if way == "well":
        asyncio.run(run())
    else:
        with pytest.raises(asyncio.CancelledError if way.startswith("cancelled") else OSError):
            asyncio.run(run())
    assert steps == [("entered", False), *([] if way == "not entered" else [("left", False)])]


def test_a_closed_engine_leaves_no_thread_and_no_child(data_home: Home) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    before = set(running())
    app = started(data_home)
    with TestClient(app) as client:
        assert client.post("/api/predict", files={"file": ("a.mp3", SPEECH)}).status_code == 200
    begun = set(running()) - before
    assert [each for each in begun if isinstance(each, psutil.Process)]
    names = {each.name for each in begun if isinstance(each, threading.Thread)}
    assert {name.rsplit("-", 1)[0] for name in names} >= {
        "vnyatno-model", "vnyatno-decoder", "vnyatno-describer", "vnyatno-whisper", "vnyatno-window",
        "vnyatno-window-process", "vnyatno-listener", "vnyatno-calls", "vnyatno-loader",
    }  # fmt: skip
    start = time.monotonic()
    ended(app)
    assert time.monotonic() - start < 5
    assert set(running()) - before == set()

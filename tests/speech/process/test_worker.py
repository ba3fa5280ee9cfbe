"""A child that is asked: it answers, hangs, dies or prints, and the next question is answered all the same."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from speech.process.child import ChildBroke, ChildNotStarted, ChildTimeout
from speech.process.worker import Held, Worker

CHILD = """
import os, time
from speech.process.served import begin, serve

def work(message, raw):
    match message["do"]:
        case "die":
            os._exit(3)
        case "fail":
            raise KeyError("a mistake")
        case "hang":
            time.sleep(600)
        case "print":
            print("a library says something", flush=True)
        case "wait":
            time.sleep(0.3)
    return {"pid": os.getpid(), "name": threads}, raw[::-1]

threads = os.environ["OMP_NUM_THREADS"]
serve(begin(), work)
"""


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker([sys.executable, "-c", CHILD])
    yield made
    made.close()


def test_descriptors_beyond_select_s_are_waited_for() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 2048 if hard == resource.RLIM_INFINITY else min(hard, 2048)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    made = Worker([sys.executable, "-c", CHILD])
    try:
        looks: list[None] = []
        made.ask({"do": "wait"}, look=lambda held: looks.append(None))
        assert looks
    finally:
        made.close()
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_bytes_go_there_and_back(worker: Worker) -> None:
    assert worker.pid is None
    answer, raw = worker.ask({"do": "answer"}, bytes(range(256)) * 1000)
    assert raw == (bytes(range(256)) * 1000)[::-1]
    assert answer == {"pid": worker.pid, "name": "1"}
    assert worker.ask({"do": "print"})[0] == answer  # the same child, and nothing in between


@pytest.mark.parametrize("fault", ["die", "fail"])
def test_who_breaks_off_is_replaced(worker: Worker, fault: str) -> None:
    first = worker.ask({"do": "answer"})[0]["pid"]
    with pytest.raises(ChildBroke):
        worker.ask({"do": fault})
    assert worker.pid is None
    assert worker.ask({"do": "answer"})[0]["pid"] != first


def test_who_takes_too_long_is_replaced(worker: Worker) -> None:
    worker.ask({"do": "answer"})
    began = time.monotonic()
    with pytest.raises(ChildTimeout, match=r"0\.5 s"):
        worker.ask({"do": "hang"}, seconds=0.5)
    assert 0.4 < time.monotonic() - began < 30
    worker.ask({"do": "answer"})


def test_who_never_is_ready_is_not_waited_for() -> None:
    before = psutil.Process().children()
    hangs = Worker([sys.executable, "-c", "import time; time.sleep(600)"], start_seconds=0.5)
    with pytest.raises(ChildNotStarted):
        hangs.ask({})
    assert set(psutil.Process().children()) <= set(before)


def test_a_child_is_held_up_while_it_computes(worker: Worker) -> None:
    seen: list[str] = []

    def look(held: Held) -> None:
        if not seen:
            with held():
                time.sleep(0.05)  # until the signal has come
                seen.append(psutil.Process(worker.pid).status())

    worker.ask({"do": "wait"}, look=look)
    assert seen == [psutil.STATUS_STOPPED]


def test_closing_breaks_off_what_is_asked_and_is_for_good(worker: Worker) -> None:
    before = psutil.Process().children()
    worker.ask({"do": "answer"})
    assert not set(psutil.Process().children()) <= set(before)
    broke: list[Exception] = []

    def ask() -> None:
        try:
            worker.ask({"do": "hang"})
        except ChildBroke as error:
            broke.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    worker.close()
    asking.join(10)
    assert len(broke) == 1
    assert set(psutil.Process().children()) <= set(before)
    with pytest.raises(ChildBroke, match="closed"):
        worker.ask({"do": "answer"})
    assert not [thread for thread in threading.enumerate() if thread.name == "vnyatno-child"]


def test_who_is_forgotten_ends() -> None:
    forgotten = Worker([sys.executable, "-c", CHILD])
    child = psutil.Process(forgotten.ask({"do": "answer"})[0]["pid"])
    del forgotten
    assert psutil.wait_procs([child], timeout=10)[1] == []

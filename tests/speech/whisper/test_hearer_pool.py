"""Words heard by children: real Whisper, real processes, held up, killed and left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from speech.process.worker import Held
from speech.text.alignment import TimedWord
from speech.text.language import LanguageError
from speech.whisper.backend import TranscriberError
from speech.whisper.hearer import require_whisper
from speech.whisper.hearer_pool import HearerPool, HearingBroke
from tests.long import sentence
from tests.recordings import hum


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def texts(words: Future[list[TimedWord]]) -> list[str]:
    return [word.text.lower() for word in words.result()]


def children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        try:
            if any("speech.whisper.child" in part for part in child.cmdline()):
                found.append(child)
        except psutil.Error:  # ended meanwhile, and a zombie until its parent looks
            continue
    return found


def test_words_are_heard_by_children_that_rest_when_told(pool: ThreadPoolExecutor) -> None:
    hearers = HearerPool("base", pool.submit)
    both = [hearers.submit(sentence(name), "ru") for name in ("forest", "city")]
    forest, city = map(texts, both)
    assert {"через", "густой", "лес"} <= set(forest)
    assert set(city)
    assert not {"лес", "густой"} & set(city)
    assert hearers.submit(hum(2.0), "ru").result() == []  # whatever Whisper makes of it
    times = [edge for word in both[0].result() for edge in (word.start, word.end)]
    assert times == sorted(times)
    with pytest.raises(LanguageError):
        hearers.submit(sentence(), "xx").result()
    assert len(children()) == 2
    hearers.rest()
    assert children() == []


def test_a_child_is_held_up_and_says_the_same(pool: ThreadPoolExecutor) -> None:
    seen: list[str] = []

    def look(held: Held) -> None:
        if len(seen) < 3:
            (child,) = children()
            child.send_signal(signal.SIGINT)  # as a terminal sends it to all processes at once
            with held():
                time.sleep(0.05)  # until the signal has come
                spent = child.cpu_times()
                time.sleep(0.2)
                assert child.cpu_times() == spent
                seen.append(child.status())

    hearers = HearerPool("base", pool.submit, look)
    assert {"густой", "лес"} <= set(texts(hearers.submit(sentence("forest"), "ru")))
    assert seen == [psutil.STATUS_STOPPED] * 3
    hearers.rest()


def test_a_child_that_breaks_off_is_replaced_once(pool: ThreadPoolExecutor) -> None:
    kills: list[int] = []

    def hearers(most: int) -> HearerPool:
        def look(_: Held) -> None:
            found = children()
            if len(kills) < most and found and found[0].pid not in kills:
                kills.append(found[0].pid)
                found[0].kill()

        return HearerPool("base", pool.submit, look)

    once = hearers(1)
    assert "лес" in texts(once.submit(sentence("forest"), "ru"))
    once.rest()
    kills.clear()
    with pytest.raises(HearingBroke):
        hearers(9).submit(sentence("forest"), "ru").result()
    assert len(kills) == 2
    assert children() == []


def test_closing_ends_those_too_that_hear_and_begins_none(pool: ThreadPoolExecutor) -> None:
    heard = threading.Event()
    hearers = HearerPool("base", pool.submit, lambda _: heard.set())
    both = [hearers.submit(sentence("forest"), "ru") for _ in range(2)]
    assert heard.wait(60)
    hearers.close()
    for future in (*both, hearers.submit(sentence("forest"), "ru")):
        with pytest.raises(CancelledError):
            future.result(60)
    assert children() == []


def test_without_weights_it_is_said_and_no_child_looks_for_them(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require_whisper("base")
    monkeypatch.setenv("VNYATNO_WEIGHTS", str(tmp_path))
    hearers = HearerPool("base", pool.submit)
    with pytest.raises(TranscriberError, match="make setup"):
        hearers.require("ru")
    with pytest.raises(TranscriberError, match="make setup"):
        hearers.submit(np.zeros(16_000, np.float32), "ru").result()
    assert children() == []


def test_a_child_ends_with_its_parent_even_while_it_is_held_up() -> None:
    program = (
        "import sys, time; from concurrent.futures import ThreadPoolExecutor\n"
        "from speech.whisper.hearer_pool import HearerPool\n"
        "import numpy as np; import psutil\n"
        "def look(held):\n"
        "    with held():\n"
        "        print(psutil.Process().children()[0].pid, flush=True); time.sleep(60)\n"
        "HearerPool('base', ThreadPoolExecutor(1).submit, look).submit(np.zeros(16000, np.float32), 'ru').result()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs([child], timeout=10)[1] == []

"""Threads of ours have names, and are waited for no longer than is said."""

from __future__ import annotations

import threading
import time

from speech.process import background


def test_a_thread_says_what_it_is_and_never_holds_up_the_end_of_the_process() -> None:
    said: list[str] = []
    made = background.thread("ears", lambda word: said.append(word), "a")
    assert (made.name, made.daemon, made.is_alive()) == ("vnyatno-ears", True, False)
    made.start()
    assert background.ended([made])
    assert said == ["a"]


def test_all_are_waited_for_together() -> None:
    end = threading.Event()
    threads = [background.thread("slow", end.wait, 60) for _ in range(4)]
    for each in threads:
        each.start()
    start = time.monotonic()
    assert not background.ended(threads, 0.4)
    assert 0.4 <= time.monotonic() - start < 1.5
    end.set()
    assert background.ended(threads, 60)


def test_who_waits_is_left_out_and_so_is_what_never_began() -> None:
    assert background.ended([threading.current_thread(), background.thread("idle", print)], 60)

"""Windows of calls, computed on the cores that recordings leave, at the least priority that the system has.

A window is begun only while no recording waits and a core is free. A recording that comes meanwhile is begun at once,
beside at most one window a core, which the system sets aside for it; where the system does not, both share the core.
So a recording waits for windows no longer than one of them takes: `Windows.longest`.

Recordings' side never takes a lock that a window's thread may hold: a thread that gives way may hold it for long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from speech.priority import give_way

T = TypeVar("T")
_LOOK_SECONDS = 0.01  # between two looks whether recordings have left a core


class Windows:
    """As many threads as cores; they never hold up the end of the process."""

    def __init__(self, cores: int, use_cores: Callable[[int], None] | None = None) -> None:
        """`use_cores` tells the thread that it is called on how many cores to compute with."""
        self._cores = cores
        self._use_cores = use_cores
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._turn = threading.Lock()  # among windows' threads alone
        self._computing = 0
        self._taken = 0  # cores that recordings have
        self._waiting = False  # whether recordings wait
        self.longest = 0.0
        """Seconds of one core, the most that a window has taken yet."""
        for number in range(cores):
            threading.Thread(target=self._work, name=f"window-{number}", daemon=True).start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """The value of `call()`, computed when its turn comes; a cancelled one is left out."""
        future: Future[T] = Future()
        self._jobs.put((future, call))
        return future

    def leave(self, cores: int, waiting: bool) -> None:
        """Recordings compute on so many cores from now on, and others wait or not."""
        self._taken, self._waiting = cores, waiting

    def _work(self) -> None:
        give_way()
        if self._use_cores is not None:
            self._use_cores(1)
        while True:
            future, call = self._jobs.get()
            while not self._begins():
                time.sleep(_LOOK_SECONDS)
            try:
                if future.set_running_or_notify_cancel():
                    self._compute(future, call)
            finally:
                with self._turn:
                    self._computing -= 1
            del future, call  # or the last window would be held until the next

    def _begins(self) -> bool:
        with self._turn:
            if self._waiting or self._taken + self._computing >= self._cores:
                return False
            self._computing += 1
            return True

    def _compute(self, future: Future[Any], call: Callable[[], Any]) -> None:
        began = time.thread_time()
        try:
            value = call()
        except BaseException as error:  # whatever it is, it belongs to the caller who waits for it
            future.set_exception(error)
            return
        self.longest = max(self.longest, time.thread_time() - began)
        future.set_result(value)

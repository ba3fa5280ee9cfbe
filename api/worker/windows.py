"""Windows of calls, computed on the cores that recordings leave (`api.worker.core_share`).

While a window is computed, its thread looks before each part of the model (a layer and each of its parts) whether a
recording wants the core, and stands still until that is done. So a recording waits for windows no longer than the
longest stretch between two looks, which is measured: `Windows.longest_stretch`.

A call may have another process compute. It goes into a queue of its own (`process_queue`), and its thread calls
`give_way` every few milliseconds, which stops that process as long as recordings want the core.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from torch.nn.modules.module import register_module_forward_pre_hook

from api.worker.core_share import PAUSE_SECONDS, TURN_SECONDS, CoreShare
from speech.process import background

T = TypeVar("T")
Jobs = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
LOOK_SECONDS = 0.005  # between two looks of a thread that stands still
_THREAD = threading.local()


class _State:
    """What a window's thread knows of itself."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.last_look = 0.0
        """Of `time.thread_time`: what this thread had computed when it looked last."""
        self.turn_until = 0.0
        """Of `time.perf_counter`: until then it goes on whatever recordings want."""


class Windows:
    """As many threads as cores, until they are closed; they never hold up the end of the process."""

    def __init__(self, cores: int, use_cores: Callable[[int], None] | None = None) -> None:
        """`use_cores` tells the thread that it is called on how many cores to compute with."""
        self._share = CoreShare(cores)
        self._use_cores = use_cores
        self.longest_stretch = 0.0
        """Seconds of its core that a window has taken between two looks at most: no recording waits longer for it."""
        self._queues: list[tuple[Jobs, list[Thread]]] = []
        _look_before_each_part()
        self._jobs = self._new_queue("window", cores)
        self.recordings_use = self._share.recordings_use
        self.recording_arrives = self._share.recording_arrives

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """The value of `call()`, computed when its turn comes. One that is cancelled meanwhile is left out; after
        `close` every call is given back cancelled."""
        return self._put(self._jobs, call)

    def process_queue(self, count: int) -> Callable[[Callable[[], T]], Future[T]]:
        """What submits calls that have another process compute: at most `count` of them at once, one core each."""
        return partial(self._put, self._new_queue("window-process", count))

    def give_way(self, stopped: Callable[[], AbstractContextManager[None]]) -> None:
        """Called on such a call's thread every few milliseconds: as long as recordings want the core, its process is
        `stopped`. Raises `CancelledError` once closed."""
        self.look(_THREAD.state, stopped)

    def close(self, seconds: float = background.END_SECONDS) -> None:
        """Leave out what waits, break off at its next look what is computed, and wait `seconds` for that.

        A thread that comes back from torch while the interpreter ends would abort the process.
        """
        self._share.closed = True
        for jobs, threads in self._queues:
            for _ in threads:
                jobs.put(None)
        background.ended([thread for _, threads in self._queues for thread in threads], seconds)

    def look(self, state: _State, stopped: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Stand still as long as recordings want this thread's core; `stopped` is entered meanwhile.

        Raises `CancelledError` once closed.
        """
        self.measure(state)
        if self._share.closed:
            raise CancelledError
        if self._share.has_room() or time.perf_counter() < state.turn_until:
            return
        if not self._share.give_way():
            return
        with stopped():
            self._await_core(state)
        if self._share.closed:
            raise CancelledError
        state.last_look = time.thread_time()

    def measure(self, state: _State) -> None:
        """Measure the stretch since the last look."""
        now = time.thread_time()
        self.longest_stretch = max(self.longest_stretch, now - state.last_look)
        state.last_look = now

    def _await_core(self, state: _State) -> None:
        """Stand still until a core is free, or, after a pause, until a turn is due."""
        since = time.perf_counter()
        while not self._share.begin():
            if time.perf_counter() - since > PAUSE_SECONDS and self._share.begin_turn():
                state.turn_until = time.perf_counter() + TURN_SECONDS
                return
            time.sleep(LOOK_SECONDS)

    def _new_queue(self, name: str, count: int) -> Jobs:
        jobs: Jobs = SimpleQueue()
        threads = [background.thread(f"{name}-{number}", self._work, jobs) for number in range(count)]
        self._queues.append((jobs, threads))
        for thread in threads:
            thread.start()
        return jobs

    def _put(self, jobs: Jobs, call: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        jobs.put((future, call))
        if self._share.closed:
            future.cancel()
        return future

    def _work(self, jobs: Jobs) -> None:
        """What each thread does, until it is given None."""
        _THREAD.state = state = _State(self)
        while (job := jobs.get()) is not None:
            future, call = job
            self._await_core(state)
            if self._share.closed:
                future.cancel()
            try:
                if future.set_running_or_notify_cancel():
                    if self._use_cores is not None:
                        self._use_cores(1)  # each time: torch goes by whichever thread set it last
                    _compute(future, call, state)
            finally:
                self._share.end()
            del future, call, job  # or the last window would be held until the next


def _compute(future: Future[Any], call: Callable[[], Any], state: _State) -> None:
    state.last_look = time.thread_time()
    try:
        value = call()
        state.windows.measure(state)
    except BaseException as error:  # whatever it is, it belongs to the caller who waits for it
        future.set_exception(error)
        return
    future.set_result(value)


_HOOKED = threading.Event()


def _look_before_each_part() -> None:
    """Have torch call `_look` before each part of any model; on other threads that costs under a microsecond.

    Once in a process: torch would call it as often as it is registered.
    """
    if not _HOOKED.is_set():
        _HOOKED.set()
        register_module_forward_pre_hook(_look)


def _look(*_: object) -> None:
    state: _State | None = getattr(_THREAD, "state", None)
    if state is not None:
        state.windows.look(state)

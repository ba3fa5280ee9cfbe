"""Windows of calls, computed on the cores that recordings leave.

A window is begun only while no recording is decoded or waits and a core is free. While one is computed, its thread
looks before each part of the model (a layer and each of its parts) whether a recording has come that wants the core,
and stands still until that is done. So a recording waits for windows no longer than the longest stretch between two
looks, which is measured: `Windows.longest`. Where recordings never cease, windows get a twentieth of a core's time,
one of them at a time, in turns that end with the first look after `TURN_SECONDS`, or they would stand for ever and
hold a model that has left service.

A call that has another process compute (`line`, `attend`) takes turns in the same way: its thread looks, and holds the
process up.

Recordings' side takes no lock that a window's thread may hold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from torch.nn.modules.module import register_module_forward_pre_hook

from speech.process import background

T = TypeVar("T")
Jobs = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
TURN_SECONDS = 0.05
_PAUSE_SECONDS = 20 * TURN_SECONDS
LOOK_SECONDS = 0.005  # between two looks whether recordings have left the core
_THREAD = threading.local()


class _Turn:
    """What a window's thread knows of itself; moments of `time.perf_counter`, `began` of `time.thread_time`."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.began = 0.0
        self.until = 0.0


class Windows:
    """As many threads as cores, until they are closed; they never hold up the end of the process."""

    def __init__(self, cores: int, use_cores: Callable[[int], None] | None = None) -> None:
        """`use_cores` tells the thread that it is called on how many cores to compute with."""
        self._cores = cores
        self._use_cores = use_cores
        self._turns = threading.Lock()  # among windows' threads alone
        self._computing = 0
        self._taken = 0  # cores that recordings have
        self._waiting = False  # whether recordings wait
        self._coming = 0  # recordings that are decoded
        self._last_turn = 0.0
        self.longest = 0.0
        """Seconds of its core that a window has taken between two looks at most: no recording waits longer for it."""
        self._closed = False
        self._queues: list[tuple[Jobs, list[Thread]]] = []
        _look_before_each_part()
        self._jobs = self._queue("window", cores)

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """The value of `call()`, computed when its turn comes; a cancelled one is left out, and is what whoever comes
        after `close` is given."""
        return self._put(self._jobs, call)

    def line(self, count: int) -> Callable[[Callable[[], T]], Future[T]]:
        """Another queue beside `submit`'s, of which at most so many calls compute at once: one a core, as all do."""
        return partial(self._put, self._queue("line", count))

    def attend(self, held: Callable[[], AbstractContextManager[None]]) -> None:
        """On such a call's thread, every few milliseconds while another process computes for it: that process is `held`
        up as long as recordings want the core."""
        self.look(_THREAD.turn, held)

    def close(self, seconds: float = background.END_SECONDS) -> None:
        """Leave out what waits, and break off what is computed, at its next look; wait so long for that.

        A thread that comes back from torch while the interpreter ends would abort the process.
        """
        self._closed = True
        for jobs, threads in self._queues:
            for _ in threads:
                jobs.put(None)
        background.ended([thread for _, threads in self._queues for thread in threads], seconds)

    def _queue(self, name: str, count: int) -> Jobs:
        jobs: Jobs = SimpleQueue()
        threads = [background.thread(f"{name}-{number}", self._work, jobs) for number in range(count)]
        self._queues.append((jobs, threads))
        for thread in threads:
            thread.start()
        return jobs

    def _put(self, jobs: Jobs, call: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        jobs.put((future, call))
        if self._closed:
            future.cancel()
        return future

    def leave(self, cores: int, waiting: bool) -> None:
        """Recordings compute on so many cores from now on, and others wait or not."""
        self._taken, self._waiting = cores, waiting

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """A recording is decoded: it wants a core for that, and the model's soon. On the thread that `leave` is called
        on."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def look(self, turn: _Turn, held: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Stand still as long as recordings want this thread's core; `held` is entered meanwhile. Raises
        `CancelledError` once closed."""
        self.note(turn)
        if self._closed:
            raise CancelledError
        if self._has_room():
            return
        if time.perf_counter() < turn.until:
            return
        with self._turns:
            if self._has_room():
                return
            self._computing -= 1
        with held():
            self._await_turn(turn, _PAUSE_SECONDS)
        if self._closed:
            raise CancelledError
        turn.began = time.thread_time()

    def note(self, turn: _Turn) -> None:
        """Measure the stretch since the last look."""
        now = time.thread_time()
        self.longest = max(self.longest, now - turn.began)
        turn.began = now

    def _await_turn(self, turn: _Turn, seconds: float | None) -> None:
        """Until a core is free, or for `seconds`."""
        since = time.perf_counter()
        while not self._begins():
            if seconds is not None and time.perf_counter() - since > seconds and self._begins_all_the_same():
                turn.until = time.perf_counter() + TURN_SECONDS
                return
            time.sleep(LOOK_SECONDS)

    def _begins_all_the_same(self) -> bool:
        """One thread at a time: a recording that takes less than the pause meets one turn, not one of each thread."""
        with self._turns:
            if time.perf_counter() - self._last_turn < _PAUSE_SECONDS:
                return False
            self._last_turn = time.perf_counter()
            self._computing += 1
            return True

    def _begins(self) -> bool:
        with self._turns:
            if not self._has_room(1):
                return False
            self._computing += 1
            return True

    def _has_room(self, more: int = 0) -> bool:
        """Whether recordings leave cores to the windows that are computed, and to so many more."""
        if self._closed:  # no recording comes any more
            return True
        return not (self._waiting or self._coming) and self._taken + self._computing + more <= self._cores

    def _work(self, jobs: Jobs) -> None:
        _THREAD.turn = turn = _Turn(self)
        while (job := jobs.get()) is not None:
            future, call = job
            self._await_turn(turn, _PAUSE_SECONDS)
            if self._closed:
                future.cancel()
            try:
                if future.set_running_or_notify_cancel():
                    if self._use_cores is not None:
                        self._use_cores(1)  # each time: torch goes by whichever thread set it last
                    _compute(future, call, turn)
            finally:
                with self._turns:
                    self._computing -= 1
            del future, call, job  # or the last window would be held until the next


def _compute(future: Future[Any], call: Callable[[], Any], turn: _Turn) -> None:
    turn.began = time.thread_time()
    try:
        value = call()
        turn.windows.note(turn)
    except BaseException as error:  # whatever it is, it belongs to the caller who waits for it
        future.set_exception(error)
        return
    future.set_result(value)


_LOOKING = threading.Event()


def _look_before_each_part() -> None:
    """Once in a process: on other threads the look finds nothing and costs under a microsecond."""
    if not _LOOKING.is_set():
        _LOOKING.set()
        register_module_forward_pre_hook(_look)


def _look(*_: object) -> None:
    turn: _Turn | None = getattr(_THREAD, "turn", None)
    if turn is not None:
        turn.windows.look(turn)

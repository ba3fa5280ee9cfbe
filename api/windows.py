"""Windows of calls, computed on the cores that recordings leave.

A window is begun only while no recording waits and a core is free. While one is computed, its thread looks before each
part of the model (a layer and each of its parts) whether a recording has come that wants the core, and stands still
until that is done. So a recording waits for windows no longer than the longest stretch between two looks, which is
measured: `Windows.longest`. Where recordings never cease, windows get a twentieth of the time, in turns no longer than
`TURN_SECONDS`, or they would stand for ever and hold a model that has left service.

Recordings' side takes no lock that a window's thread may hold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from torch.nn.modules.module import register_module_forward_pre_hook

T = TypeVar("T")
TURN_SECONDS = 0.05
_PAUSE_SECONDS = 20 * TURN_SECONDS
_LOOK_SECONDS = 0.005  # between two looks whether recordings have left the core
_THREAD = threading.local()


class _Turn:
    """What a window's thread knows of itself; moments of `time.perf_counter`, `began` of `time.thread_time`."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.began = 0.0
        self.until = 0.0


class Windows:
    """As many threads as cores; they never hold up the end of the process."""

    def __init__(self, cores: int, use_cores: Callable[[int], None] | None = None) -> None:
        """`use_cores` tells the thread that it is called on how many cores to compute with."""
        self._cores = cores
        self._use_cores = use_cores
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._turns = threading.Lock()  # among windows' threads alone
        self._computing = 0
        self._taken = 0  # cores that recordings have
        self._waiting = False  # whether recordings wait
        self.longest = 0.0
        """Seconds of its core that a window has taken between two looks at most: no recording waits longer for it."""
        _look_before_each_part()
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

    def look(self, turn: _Turn) -> None:
        """Stand still as long as recordings want this thread's core."""
        self.note(turn)
        if not self._waiting and self._taken + self._computing <= self._cores:
            return
        if time.perf_counter() < turn.until:
            return
        with self._turns:
            if not self._waiting and self._taken + self._computing <= self._cores:
                return
            self._computing -= 1
        self._await_turn(turn, _PAUSE_SECONDS)
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
            if seconds is not None and time.perf_counter() - since > seconds:
                turn.until = time.perf_counter() + TURN_SECONDS
                with self._turns:
                    self._computing += 1
                return
            time.sleep(_LOOK_SECONDS)

    def _begins(self) -> bool:
        with self._turns:
            if self._waiting or self._taken + self._computing >= self._cores:
                return False
            self._computing += 1
            return True

    def _work(self) -> None:
        _THREAD.turn = turn = _Turn(self)
        while True:
            future, call = self._jobs.get()
            self._await_turn(turn, _PAUSE_SECONDS)
            try:
                if future.set_running_or_notify_cancel():
                    if self._use_cores is not None:
                        self._use_cores(1)  # each time: torch goes by whichever thread set it last
                    _compute(future, call, turn)
            finally:
                with self._turns:
                    self._computing -= 1
            del future, call  # or the last window would be held until the next


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

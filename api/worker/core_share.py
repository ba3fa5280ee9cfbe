"""How recordings and windows of calls share a worker's cores: the counting alone, without threads.

Recordings come first. A window may be computed while no recording is decoded or waits and a core is free. Where
recordings never cease, windows take turns of `TURN_SECONDS`, one window at a time and one turn in `PAUSE_SECONDS`: a
twentieth of a core. Otherwise they would stand for ever and hold a model that has left service.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

TURN_SECONDS = 0.05
PAUSE_SECONDS = 20 * TURN_SECONDS


class CoreShare:
    """Counts who has cores. The side of recordings takes no lock that a window's thread may hold."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._lock = threading.Lock()  # among windows' threads alone
        self._windows = 0  # that are computed, one core each
        self._recordings = 0  # cores that recordings are computed on
        self._waiting = False  # whether recordings wait for the model
        self._arriving = 0  # recordings that are decoded
        self._last_turn = 0.0  # of `time.perf_counter`
        self.closed = False
        """Whether no recording comes any more, so that windows need not give way."""

    def recordings_use(self, cores: int, waiting: bool) -> None:
        """Recordings are computed on so many cores from now on, and others wait or not."""
        self._recordings, self._waiting = cores, waiting

    @contextmanager
    def recording_arrives(self) -> Iterator[None]:
        """A recording is decoded in the block: it wants a core for that, and soon the model's.

        Called on the thread that calls `recordings_use`.
        """
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    def has_room(self, more: int = 0) -> bool:
        """Whether recordings leave cores to the windows that are computed, and to so many more."""
        if self.closed:
            return True
        return not (self._waiting or self._arriving) and self._recordings + self._windows + more <= self._cores

    def begin(self) -> bool:
        """Count one more window as computed, if a core is free; whether that is so."""
        with self._lock:
            if not self.has_room(1):
                return False
            self._windows += 1
            return True

    def begin_turn(self) -> bool:
        """Count one more window as computed though recordings want the cores, if a turn is due; whether that is so.

        One window at a time: a recording that takes less than the pause meets one turn, not one of each thread.
        """
        with self._lock:
            if time.perf_counter() - self._last_turn < PAUSE_SECONDS:
                return False
            self._last_turn = time.perf_counter()
            self._windows += 1
            return True

    def give_way(self) -> bool:
        """Count a window as computed no more, if recordings want its core; whether that is so."""
        with self._lock:
            if self.has_room():
                return False
            self._windows -= 1
            return True

    def end(self) -> None:
        """Count a window as computed no more."""
        with self._lock:
            self._windows -= 1

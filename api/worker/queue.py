"""Recordings that wait for the model: a bounded queue, computed in small batches.

What comes here is decoded and checked already, so one bad recording cannot spoil a batch. Each recording brings the
model that is to judge it, so that a swap between two recordings never mixes models.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from api.observe.requests import note
from api.threads import Threads

ALIKE = 1.5  # longest to shortest in a batch: at most a third of what is computed is padding
_NEWEST = 0.2  # weight of the newest batch in the running mean of seconds per recording

Model = TypeVar("Model")
Result = TypeVar("Result")


class QueueFull(Exception):
    """The queue is full; `retry_after` says in how many whole seconds about half of it is done."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full, half of it is done in about {retry_after} s")
        self.retry_after = retry_after


class Observer(Protocol):
    """Who is told how full the queue is and how large batches are: the metrics."""

    def queued(self, length: int) -> None: ...

    def computed(self, size: int) -> None: ...


@dataclass(eq=False)
class _Item(Generic[Model]):
    """A recording in the queue; moments in seconds of `time.perf_counter`, `began` 0 while it waits."""

    model: Model
    samples: np.ndarray
    future: asyncio.Future[Any]
    came: float
    began: float = 0.0


class Batcher(Generic[Model, Result]):
    """Computes on threads of its own; used from one event loop.

    A batch that is alone takes all cores. Where several wait, each takes one, and as many as there are cores are
    computed at once: cores that share a batch wait for each other after every layer, which costs a third of the
    throughput.
    """

    def __init__(
        self,
        compute: Callable[[Model, Sequence[np.ndarray]], Sequence[Result]],
        batch_size: int = 1,
        queue_size: int = 32,
        observer: Observer | None = None,
        cores: int = 1,
        use_cores: Callable[[int], None] | None = None,
        occupied: Callable[[int, bool], None] | None = None,
    ) -> None:
        """`compute` gives one result per recording, in order; `queue_size` counts those that wait; `use_cores` tells
        the thread that it is called on how many cores to compute with. `occupied` is told how many cores compute, and
        whether recordings wait, whenever that changes."""
        self._compute = compute
        self._observer = observer
        self._occupied = occupied
        self._batch_size = batch_size
        self._queue_size = queue_size
        self._waiting: deque[_Item[Model]] = deque()
        self._cores = cores
        self._use_cores = use_cores
        self._whole = Threads(1, "model")
        self._single = Threads(cores, "model-core") if cores > 1 else self._whole
        self._busy = 0  # cores
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = False
        self._seconds = 0.1  # from one recording done to the next

    @property
    def waiting(self) -> int:
        """Recordings in the queue whose askers still wait."""
        return sum(not item.future.done() for item in self._waiting)

    async def submit(self, model: Model, samples: np.ndarray) -> Result:
        """The model's result for samples (n,). Raises `QueueFull`, or what `compute` raised for this recording.

        A cancelled caller's recording is dropped from the queue.
        """
        if len(self._waiting) >= self._queue_size:
            self._waiting = deque(item for item in self._waiting if not item.future.done())
        if len(self._waiting) >= self._queue_size:
            raise QueueFull(max(1, math.ceil(len(self._waiting) * self._seconds / 2)))
        item = _Item(model, samples, asyncio.get_running_loop().create_future(), time.perf_counter())
        self._waiting.append(item)
        self._tell_length()
        self._tell_occupied()
        if not self._woken:
            self._woken = True
            # In a context of its own: what computes for all is no part of the request that happened to start it.
            asyncio.get_running_loop().call_soon(self._dispatch, context=contextvars.Context())
        try:
            result: Result = await item.future
        finally:
            _note_stages(item)
        return result

    def close(self) -> None:
        """End the threads. Recordings that still wait are told `api.threads.Closed`."""
        for threads in {self._whole, self._single}:
            threads.close()

    def _dispatch(self) -> None:
        """Start as many batches as there are cores for."""
        self._woken = False
        while self._busy < self._cores and (batch := self._next_batch()):
            alone = not self._busy and not self._waiting
            cores, threads = (self._cores, self._whole) if alone else (1, self._single)
            self._busy += cores
            task = asyncio.create_task(self._answer(batch, threads), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(partial(self._done, cores), context=contextvars.Context())
        self._tell_occupied()

    def _done(self, cores: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._busy -= cores
        if not task.cancelled():
            task.result()  # what computing raised went to those who asked; anything else is a fault of ours
            self._dispatch()

    def _next_batch(self) -> list[_Item[Model]]:
        """The one that waited longest, and others of like length for the same model."""
        items = [item for item in self._waiting if not item.future.done()]
        batch = items[:1]
        if batch and self._batch_size > 1:
            shortest = longest = len(batch[0].samples)
            for item in items[1:]:
                shorter, longer = min(shortest, len(item.samples)), max(longest, len(item.samples))
                if item.model is batch[0].model and longer <= ALIKE * shorter and len(batch) < self._batch_size:
                    batch.append(item)
                    shortest, longest = shorter, longer
        self._waiting = deque(item for item in items if item not in batch)
        self._tell_length()
        return batch

    def _tell_length(self) -> None:
        if self._observer is not None:
            self._observer.queued(self.waiting)

    def _tell_occupied(self) -> None:
        if self._occupied is not None:
            self._occupied(self._busy, bool(self._waiting))

    async def _answer(self, batch: list[_Item[Model]], threads: Threads) -> None:
        start = time.perf_counter()
        for item in batch:
            item.began = start
        if self._observer is not None:
            self._observer.computed(len(batch))
        try:
            cores = 1 if threads is self._single else self._cores
            results = await threads.run(partial(self._computed, cores, batch[0].model, [x.samples for x in batch]))
        except Exception as error:  # any failure belongs to those who asked, and to nobody else
            await self._fail(batch, error, threads)
            return
        at_once = self._cores if threads is self._single else 1
        self._seconds += _NEWEST * ((time.perf_counter() - start) / len(batch) / at_once - self._seconds)
        for item, result in zip(batch, results, strict=True):
            if not item.future.done():
                item.future.set_result(result)

    def _computed(self, cores: int, model: Model, clips: Sequence[np.ndarray]) -> Sequence[Result]:
        # Each time: torch takes a thread's number of cores from whichever thread set one last.
        if self._use_cores is not None:
            self._use_cores(cores)
        return self._compute(model, clips)

    async def _fail(self, batch: list[_Item[Model]], error: Exception, threads: Threads) -> None:
        if len(batch) == 1:
            if not batch[0].future.done():
                batch[0].future.set_exception(error)
            return
        for item in batch:  # one by one, so that only the recording at fault fails
            if not item.future.done():
                await self._answer([item], threads)


def _note_stages(item: _Item[Any]) -> None:
    """How long the recording waited, and how long the batch took that it was in; of an asker who left, until then."""
    now = time.perf_counter()
    note("wait", item.came, item.began or now)
    if item.began:
        note("model", item.began, now)

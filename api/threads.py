"""Blocking work beside the event loop, on threads that never hold up the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """A fixed number of daemon threads.

    An executor's threads are joined when the interpreter ends, so that one long computation would outlast SIGTERM.
    """

    def __init__(self, count: int, name: str, start: Callable[[], None] | None = None) -> None:
        """`start` is called on each thread before anything else."""
        self._start = start
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """The value of `call()`, computed on one of the threads; a cancelled caller's call is left out if it waits."""
        return await asyncio.wrap_future(self.submit(call))

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """As `run`, for callers that are no coroutine."""
        future: Future[T] = Future()
        self._jobs.put((future, partial(copy_context().run, call)))  # so that log lines name the request
        return future

    def _work(self) -> None:
        if self._start is not None:
            self._start()
        while True:
            future, call = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # whatever it is, it belongs to the caller who waits for it
                future.set_exception(error)
            del future, call  # or the last recording and its model would be held until the next job

"""Blocking work beside the event loop, on threads that never hold up the end of the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from speech.process import background

T = TypeVar("T")


class Closed(RuntimeError):
    """Work was given to threads that have been told to end."""


class Threads:
    """A fixed number of daemon threads, until they are closed.

    An executor's threads are joined when the interpreter ends, so that one long computation would outlast SIGTERM.
    """

    def __init__(self, count: int, name: str, start: Callable[[], None] | None = None) -> None:
        """`start` is called on each thread before anything else."""
        self._start = start
        self._closed = False
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [background.thread(f"{name}-{number}", self._work) for number in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[[], T]) -> T:
        """The value of `call()`, computed on one of the threads.

        A call that still waits when its caller is cancelled is left out.
        """
        return await asyncio.wrap_future(self.submit(call))

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """As `run`, for callers outside the event loop. Raises `Closed`."""
        future: Future[T] = Future()
        self._jobs.put((future, partial(copy_context().run, call)))  # so that log lines name the request
        if self._closed and future.cancel():
            raise _closed()
        return future

    def close(self, seconds: float = background.END_SECONDS) -> None:
        """End the threads once they have done what waits, but wait no longer than `seconds` for that.

        Calls that wait even then are told `Closed`. A thread that still computes ends after its call.
        """
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        if not background.ended(self._threads, seconds):
            self._leave_out()

    def _leave_out(self) -> None:
        with suppress(Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None and job[0].set_running_or_notify_cancel():
                    job[0].set_exception(_closed())
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        if self._start is not None:
            self._start()
        while (job := self._jobs.get()) is not None:
            future, call = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # whatever it is, it belongs to the caller who waits for it
                future.set_exception(error)
            del future, call, job  # or the last recording and its model would be held until the next job


@asynccontextmanager
async def beside(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """`manager`, entered and left on threads beside the event loop.

    It is left as well where its user is cancelled, even while it is being entered.
    """
    entering = asyncio.create_task(asyncio.to_thread(manager.__enter__))
    try:
        yield await asyncio.shield(entering)
    except BaseException as error:
        await asyncio.wait({entering})
        if entering.exception() is not None:
            raise
        if not await asyncio.to_thread(manager.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def _closed() -> Closed:
    return Closed("the threads that were to compute this have been told to end")

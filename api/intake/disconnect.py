"""A request's work: given up when nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request

from api.intake.problems import CLIENT_GONE, Problem

if TYPE_CHECKING:
    from api.worker.engine import Engine

T = TypeVar("T")


def engine_of(request: Request) -> Engine:
    """This worker's engine. Raises `Problem` 503 while it starts."""
    engine: Engine | None = request.app.state.engine
    if engine is None:
        raise Problem(503, "starting", "the service is starting", {"Retry-After": "2"})
    return engine


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes away. Raises `Problem` 499 then."""
    job = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise Problem(CLIENT_GONE, "client_gone", "the client did not wait for its answer")
        return job.result()
    finally:
        job.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

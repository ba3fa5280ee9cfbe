"""What a route asks of the worker that it runs in: the engine, the data folder, and whose bundles are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Query, Request

from api.intake.problems import Problem
from speech.home import Home

if TYPE_CHECKING:
    from api.worker.engine import Engine  # brings torch, which the supervising process must not hold

OfRecipe = Annotated[Literal["defects", "asr"], Query(description="Whose bundles are meant")]


def engine_of(request: Request) -> Engine:
    """This worker's engine. Raises `Problem` 503 while it starts."""
    engine: Engine | None = request.app.state.engine
    if engine is None:
        raise Problem(503, "starting", "the service is starting", {"Retry-After": "2"})
    return engine


def data_home(request: Request) -> Home:
    """The data folder of this worker. Raises `Problem` 503 while it starts."""
    return engine_of(request).home

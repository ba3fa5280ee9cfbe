"""The BentoML service: worker processes around the application of `api.app`.

    bentoml serve api.service:Vnyatno

The supervising process imports this module too and must stay small, so torch, transformers and prometheus_client are
imported where a worker starts.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import bentoml

from api.app import build_app
from api.observe import logs
from api.server import supervision, wire
from api.settings import read_settings, read_vertex_routes
from speech.home import home
from speech.process import background

SETTINGS = read_settings()
wire.harden(SETTINGS)
supervision.keep_steady_time()
logs.configure(SETTINGS.log_format)  # here, since the supervisor writes lines too
VERTEX = read_vertex_routes()
APP = build_app(SETTINGS, home(), VERTEX)
_PARENT_SECONDS = 1.0  # how soon a worker notices that its supervisor is gone


@bentoml.service(
    name="Vnyatno",
    workers=SETTINGS.workers,
    # BentoML labels its figures with the path as sent, so a scanner would fill the disk; `api.observe.metrics` has our
    # own.
    metrics={"enabled": False},
    # It logs the path as sent, too, and knows no request id; `api.observe.requests` writes our own line.
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(APP)
class Vnyatno:
    """Hears speech defects in recordings, and what is said. Its API is described at /api/docs/."""

    def __init__(self) -> None:
        with _ends_at_once(), _few_collections():
            self._start()

    def _start(self) -> None:
        from api.observe.metrics import Metrics
        from api.worker.engine import Engine

        # BentoML shows warnings of any logger, but only its own loggers' information.
        logging.getLogger("vnyatno").setLevel(logging.INFO)
        self._closed = threading.Event()
        background.thread("parent", _end_with, os.getppid(), self._closed).start()
        self.engine = Engine(SETTINGS, home(), Metrics(), bentoml.server_context.worker_index)
        self.engine.start()
        APP.state.engine = self.engine

    async def __is_ready__(self) -> bool:
        """For /readyz: ready means that a recording would be answered by one recipe at least. Raises 503 saying why it
        would not."""
        self.engine.require_any()
        return True

    @bentoml.on_shutdown
    def close(self) -> None:
        self._closed.set()
        self.engine.close()


# The decorator has made a `Service` of the class, which it does not tell type checkers.
cast("bentoml.Service[Any]", Vnyatno).add_asgi_middleware(
    wire.Whole, application=APP, paths=VERTEX.paths if VERTEX else frozenset()
)


@contextmanager
def _ends_at_once() -> Iterator[None]:
    """While a worker starts, SIGTERM ends it; the server would wait until torch and the model are loaded."""
    before = signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _few_collections() -> Iterator[None]:
    """While libraries are imported: what they make stays, and to look through it time and again takes half a second."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _end_with(parent: int, closed: threading.Event) -> None:
    """End this worker when its supervisor has died, or it would hold the port for ever; until it ends by itself."""
    while not closed.wait(_PARENT_SECONDS):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return

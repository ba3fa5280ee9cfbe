"""One request as it is watched: its id, what it turned out to be, and how long each stage of it took.

The record stands in a context variable, so that log lines, problem documents, metrics and traces can name the request
without being handed it. A request's id is its client's `X-Request-ID` where that is sane, else made here.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("vnyatno.access")

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BEFORE_ROUTING = (
    "/api/predict",
    "/api/transcribe",
    "/api/batches",
    "/v1/audio/transcriptions",
)  # paths without parameters that may be refused before a route is looked for


@dataclass(frozen=True)
class Stage:
    """A stage of a request, in seconds of `time.perf_counter`."""

    name: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass
class RequestRecord:
    """What is known of a request; `began` in seconds of `time.perf_counter`, `began_ns` in nanoseconds since 1970."""

    id: str
    path: str = ""  # as sent
    began: float = field(default_factory=time.perf_counter)
    began_ns: int = field(default_factory=time.time_ns)
    bytes_received: int = 0
    bytes_sent: int = 0
    status: int = 500  # of a request that ends without an answer of its own
    bundle: str | None = None
    sound_seconds: float | None = None
    stages: list[Stage] = field(default_factory=list)


_CURRENT: ContextVar[RequestRecord | None] = ContextVar("vnyatno_request", default=None)


def current() -> RequestRecord | None:
    """The request that is being answered here, if one is."""
    return _CURRENT.get()


def current_id() -> str | None:
    """The id of the request that is being answered here, if one is."""
    record = _CURRENT.get()
    return record.id if record else None


def note(name: str, start: float, end: float) -> None:
    """Add a stage to the request that is being answered; seconds of `time.perf_counter`."""
    record = _CURRENT.get()
    if record is not None:
        record.stages.append(Stage(name, start, end))


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time the block as a stage of the request that is being answered, however it ends."""
    start = time.perf_counter()
    try:
        yield
    finally:
        note(name, start, time.perf_counter())


def route_of(scope: Scope) -> str:
    """The route's template; never what a client sent."""
    found = getattr(scope.get("route"), "path", None)
    if isinstance(found, str):
        return found
    return next((path for path in _BEFORE_ROUTING if path == scope["path"]), "unmatched")


def method_of(scope: Scope) -> str:
    """The request's method, or `other` for one that HTTP does not name: clients may send any word."""
    return scope["method"] if scope["method"] in _METHODS else "other"


class RequestLogMiddleware:
    """ASGI middleware, the outermost: gives each request its record and its line in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(_id(scope), scope["path"])
        # Not reset at the end: the handler of what nobody caught answers after this middleware was left.
        _CURRENT.set(record)

        async def counted() -> Message:
            message = await receive()
            record.bytes_received += len(message.get("body", b""))
            return message

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)[HEADER] = record.id
            record.bytes_sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counted, noted)
        finally:
            _finish(scope, record)


def _finish(scope: Scope, record: RequestRecord) -> None:
    route, method = route_of(scope), method_of(scope)
    fields: dict[str, Any] = {
        "method": method,
        "route": route,
        "status": record.status,
        "seconds": round(time.perf_counter() - record.began, 6),
        "bytes_received": record.bytes_received,
        "bytes_sent": record.bytes_sent,
        "sound_seconds": record.sound_seconds,
        "bundle": record.bundle,
    }
    log.info("request answered", extra={"fields": fields})
    engine = scope["app"].state.engine
    if engine is not None and engine.telemetry.tracing is not None:
        engine.telemetry.tracing.send(record, method, route, dict(scope["headers"]))


def _id(scope: Scope) -> str:
    sent = dict(scope["headers"]).get(HEADER.lower().encode(), b"").decode("latin-1")
    return sent if _SANE.fullmatch(sent) else uuid.uuid4().hex

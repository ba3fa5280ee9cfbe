"""What of uvicorn and BentoML must not stay at its default."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from bentoml._internal.server.http import traffic
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from api.server.connections import Connection
from api.settings import ServiceSettings


def harden(settings: ServiceSettings) -> None:
    """Called in a worker before its server is configured."""
    # By default uvicorn believes X-Forwarded-For from 127.0.0.1 and puts it in the place of the socket's address, so
    # that any program here could choose its address. `api.security.peers` reads that header, by the service's own
    # settings.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    # httptools keeps headers without end, so one client could fill memory; h11 refuses more than 64 KiB of them.
    # `Connection` is h11 with limits to how long a request may take to arrive.
    Connection.bound(settings)
    HTTP_PROTOCOLS["auto"] = "api.server.connections:Connection"
    vars(traffic)["TimeoutMiddleware"] = NoTimeoutMiddleware


class NoTimeoutMiddleware:
    """Stands in for BentoML's time-out, and sets none.

    BentoML's keeps a timer, and with it 4 kB of the request, until the time is over, however soon it was answered: a
    third of a gigabyte after an hour of 25 requests a second. The application has time-outs of its own, of uploads and
    of answers.
    """

    def __init__(self, app: ASGIApp, **_: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class DirectMiddleware:
    """Sends to the application what BentoML would answer by itself: the `paths`, and any path with the end of a line.

    Starlette's mounts do not take the latter, so the answer would be no problem document.
    """

    def __init__(self, app: ASGIApp, application: ASGIApp, paths: Collection[str] = ()) -> None:
        self._app = app
        self._application = application
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and ("\n" in scope["path"] or scope["path"] in self._paths)
        await (self._application if ours else self._app)(scope, receive, send)

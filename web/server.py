"""The server: Streamlit's ASGI application with our routes beside its own."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.web import bootstrap

from web.house import House
from web.routes.account import routes
from web.runtime import Application
from web.settings import SettingsError, WebSettings
from web.theme import streamlit_options
from web.uploads.intake import Intake

if TYPE_CHECKING:
    from streamlit.runtime.secrets import SecretsValue

SCRIPT = Path(__file__).resolve().parent / "app" / "script.py"
_SHUTDOWN_SECONDS = 3
_LOADED_LATE = ("web.app.navigation", "altair", "pandas", "streamlit.elements.vega_charts")
_HEADERS = {
    # Streamlit's pages would ask a host of its makers what may be counted; nothing leaves this site.
    "Content-Security-Policy": "connect-src 'self' blob:; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; frame-ancestors 'none'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


class Guarded:
    """Headers that every answer carries: no frames of other sites, no guessing of types, the microphone for us only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


class SameSite:
    """WebSockets are opened for pages of this site alone.

    Streamlit refuses the others, too; but before it does, it asks a host elsewhere for this machine's address, and
    answers nobody for as long as that takes.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._origin = settings.origin.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            headers = MutableHeaders(scope=scope)
            origin = headers.get("origin")
            if origin is not None:
                if not (origin == self._origin if self._origin else _site(origin) == headers.get("host")):
                    await send({"type": "websocket.close", "code": 1008})
                    return
                headers["host"] = _site(origin)  # as Streamlit expects it, where a proxy has put another one
        await self._app(scope, receive, send)


def build_app(house: House) -> Application:
    """The whole application, as ASGI. Configures Streamlit for this process."""
    bootstrap.load_config_options({})
    for name, value in streamlit_options(house.settings).items():
        config.set_option(name, value)
    return Application(
        house.uploads,
        SCRIPT,
        routes=routes(house),
        middleware=[Middleware(Guarded), Middleware(SameSite, house.settings), Middleware(Intake, house)],
        secrets=_secrets(house.settings),
        lifespan=lambda app: _living(app, house),
    )


@asynccontextmanager
async def _living(app: Application, house: House) -> AsyncIterator[None]:
    """While the application answers; the house is closed after that."""
    ending = asyncio.create_task(app.end_sessions())
    try:
        yield
    finally:
        ending.cancel()
        await run_in_threadpool(house.close)


def _site(origin: str) -> str:
    """Host and port of an origin; empty where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def bind(settings: WebSettings) -> socket.socket:
    """The socket to listen on. Raises `SettingsError` where the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{settings.host}:{settings.port} cannot be used ({error.strerror or error}); stop what listens there, or "
            "set VNYATNO_WEB_HOST or VNYATNO_WEB_PORT"
        ) from error
    return listener


def serve(house: House, listener: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C."""
    _warm()
    options = uvicorn.Config(
        build_app(house),
        # The headers of proxies are read by `web.routes.requests`, from trusted ones only.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level=os.environ.get("VNYATNO_WEB_LOG", "warning"),
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        ws_max_size=config.get_option("server.maxMessageSize") * 1_000_000,
    )
    uvicorn.Server(options).run(sockets=[listener])


def _warm() -> None:
    """Load what pages are made of: the first visitor should not wait for it, and no collection look through it."""
    for name in _LOADED_LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _secrets(settings: WebSettings) -> Mapping[str, SecretsValue] | None:
    """What `st.login` wants to know."""
    if not settings.oidc or not settings.oidc_client_secret or not settings.oidc_cookie_secret:
        return None
    return {
        "auth": {
            "redirect_uri": f"{settings.origin.rstrip('/')}/oauth2callback",
            "cookie_secret": settings.oidc_cookie_secret.get_secret_value(),
            "client_id": str(settings.oidc_client_id),
            "client_secret": settings.oidc_client_secret.get_secret_value(),
            "server_metadata_url": str(settings.oidc_metadata_url),
        }
    }

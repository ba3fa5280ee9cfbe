"""Whose pages may open a WebSocket: before Streamlit refuses one it would ask a host elsewhere who we are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Scope
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.web.conftest import Site
from web.server import SameSite
from web.settings import WebSettings


def opened(site: Site, origin: str | None) -> bool:
    url = site.url.replace("http://", "ws://") + "/_stcore/stream"
    options: dict[str, Any] = {"origin": origin, "subprotocols": ["streamlit"], "proxy": None, "open_timeout": 5}
    try:
        with connect(url, **options):
            return True
    except InvalidStatus as refused:
        return refused.response.status_code != 403


def test_pages_of_this_site_may(site: Site) -> None:
    assert opened(site, site.url)
    assert opened(site, None)  # no browser


@pytest.mark.parametrize("origin", ["https://e.example", "http://localhost:1", "null", "http://[", "http://127.0.0.1"])
def test_others_may_not_and_nobody_waits_for_it(site: Site, origin: str) -> None:
    assert not opened(site, origin)


async def passed(settings: WebSettings, origin: str) -> str | None:
    """The Host that Streamlit sees, None where it sees nothing."""
    seen: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, *_: object) -> None:
        seen.append(dict(scope["headers"])[b"host"].decode())

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8501"), (b"origin", origin.encode())]
    await SameSite(app, settings)({"type": "websocket", "headers": headers}, receive, send)
    assert bool(seen) != bool(sent)
    return seen[0] if seen else None


def test_behind_a_proxy_that_hides_the_host_the_setting_counts(
    tmp_path: Path,
) -> None:
    settings = WebSettings(home=tmp_path, origin="https://speech.example.org/")
    assert asyncio.run(passed(settings, "https://speech.example.org")) == "speech.example.org"
    assert asyncio.run(passed(settings, "http://127.0.0.1:8501")) is None

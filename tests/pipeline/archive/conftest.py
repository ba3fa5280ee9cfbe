"""Local servers that stand in for file hosts and for Google Drive, and small archives."""

from __future__ import annotations

import io
import random
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from pipeline.archive.settings import ArchiveSettings
from tests.http_stand_in import HttpStandIn


@dataclass
class Hosted:
    """A file on the server, and how the server misbehaves with it."""

    body: bytes
    etag: str | None = '"v1"'
    last_modified: str | None = None
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """For each coming request: close the connection after this many bytes of its body."""
    failures: list[int] = field(default_factory=list)
    """For each coming request: answer this status instead."""
    seconds_per_block: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    send_length: bool = True
    conditional: bool = True
    range_shift: int = 0
    """Bytes by which an answer to a Range request begins too late."""


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: LocalServer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        host = self.headers.get("X-Asked-Host", "")
        path = urlsplit(self.path).path
        answer = self.server.routes.get((host, path)) or self.server.routes.get(("", path))
        if answer is None:
            self.page("<html><title>Error 404</title>Not found</html>", 404)
        elif isinstance(answer, Hosted):
            self.file(answer)
        else:
            answer(self)

    @property
    def fields(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def page(self, text: str, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def file(self, hosted: Hosted) -> None:
        if hosted.failures:
            self.page("<html>try later</html>", hosted.failures.pop(0))
            return
        if hosted.conditional and self._unchanged(hosted):
            self.send_response(304)
            self.end_headers()
            return
        start = self._start(hosted)
        self.send_response(206 if start is not None else 200)
        if start is not None:
            start += hosted.range_shift
            self.send_header("Content-Range", f"bytes {start}-{len(hosted.body) - 1}/{len(hosted.body)}")
        body = hosted.body[start or 0 :]
        self.send_header("Content-Type", "application/zip")
        if hosted.send_length:
            self.send_header("Content-Length", str(len(body)))
        for name, value in (("ETag", hosted.etag), ("Last-Modified", hosted.last_modified), *hosted.headers.items()):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self._send(body[: hosted.cuts.pop(0)] if hosted.cuts else body, hosted.seconds_per_block)

    def _unchanged(self, hosted: Hosted) -> bool:
        if "If-None-Match" in self.headers:
            return self.headers["If-None-Match"] == hosted.etag
        return "If-Modified-Since" in self.headers and self.headers["If-Modified-Since"] == hosted.last_modified

    def _start(self, hosted: Hosted) -> int | None:
        asked = self.headers.get("Range")
        if asked is None or not hosted.ranges:
            return None
        if self.headers.get("If-Range") not in (hosted.etag, hosted.last_modified):
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send(self, body: bytes, seconds_per_block: float) -> None:
        block = 1 << 14
        try:
            for at in range(0, len(body), block):
                self.wfile.write(body[at : at + block])
                if self.server.closing.wait(seconds_per_block):
                    return
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client went away, which is what some tests are about

    def log_message(self, format: str, *args: Any) -> None:
        pass


class LocalServer(HttpStandIn):
    """Routes are by (asked host, path); an empty host stands for any."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: dict[tuple[str, str], Hosted | Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def host(self, path: str, body: bytes, **manners: Any) -> Hosted:
        hosted = Hosted(body, **manners)
        self.routes["", path] = hosted
        return hosted


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def drive(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    """Every connection to a Google host ends at the local server; all code above the socket stays as it is."""
    connect, send = HTTPAdapter.get_connection_with_tls_context, HTTPAdapter.send

    def to_local(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        if (urlsplit(str(request.url)).hostname or "").endswith("google.com"):
            return adapter.poolmanager.connection_from_host("127.0.0.1", server.server_port, "http")
        return connect(adapter, request, *args, **kwargs)

    def naming_host(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        request.headers["X-Asked-Host"] = urlsplit(str(request.url)).hostname or ""
        return send(adapter, request, *args, **kwargs)

    monkeypatch.setattr(HTTPAdapter, "get_connection_with_tls_context", to_local)
    monkeypatch.setattr(HTTPAdapter, "send", naming_host)
    return server


@pytest.fixture
def lines() -> list[str]:
    """Progress lines; pass `lines.append`."""
    return []


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveSettings:
    """Local servers and the test's own folder allowed, no long waits."""
    monkeypatch.setattr("pipeline.archive.downloads.FIRST_WAIT_SECONDS", 0.01)
    return ArchiveSettings(
        sources=["named by the test"],
        allowed_roots=[str(tmp_path)],
        allow_private_network=True,
        timeout_seconds=5,
        retries=2,
    )


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return buffer.getvalue()


def noise(count: int, seed: int = 0) -> bytes:
    """Bytes that do not pack."""
    return random.Random(seed).randbytes(count)


@pytest.fixture
def pack() -> Callable[..., bytes]:
    return packed


@pytest.fixture
def archive() -> bytes:
    """A training archive of about 600 kB."""
    return packed({"data_train.csv": b"file,label\na.mp3,burr\n", "data_mp3/train/a.mp3": noise(600_000)})

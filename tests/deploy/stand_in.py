"""A stand-in for the prediction service that speaks its protocol."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deploy.addresses import Address

_FILE = re.compile(rb'name="file"; filename="([^"]+)"\r\nContent-Type: audio/mpeg\r\n\r\n(.*?)\r\n--', re.DOTALL)


class StandIn(ThreadingHTTPServer):
    """`serving` lists what successive questions find in service; the last one stays. None: no model."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.serving: list[str | None] = [None]
        self.answering: str | None = None
        self.refused: dict[str, Any] | None = None
        self.status = 200
        self.posted: list[tuple[str, bytes]] = []

    @property
    def address(self) -> Address:
        return Address("the service", "VNYATNO_SERVICE_PORT", "127.0.0.1", self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        bundle = self.server.serving[0]
        if len(self.server.serving) > 1:
            self.server.serving.pop(0)
        if bundle is None:
            self._send(503, {"code": "no_model", "detail": "train one first"})
        else:
            self._send(200, {"bundle": bundle, "refused": self.server.refused})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = re.search(
            rb'name="file"; filename="([^"]+)"\r\nContent-Type: audio/mpeg\r\n\r\n(.*?)\r\n--', body, re.S
        )
        assert found is not None, body
        self.server.posted.append((found[1].decode(), found[2]))
        value = {
            "predict_proba": [0.1, 0.7, 0.1, 0.1],
            "classes": ["none", "burr", "fricative_g", "stutter"],
            "class": "burr",
            "bundle": self.server.answering or self.server.serving[0],
            "duration": 2.0,
        }
        self._send(self.server.status, value)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _send(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()

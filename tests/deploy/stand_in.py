"""A stand-in for the prediction service that speaks its protocol."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from deploy.addresses import Address
from tests.http_stand_in import HttpStandIn

_FILE = re.compile(rb'name="file"; filename="([^"]+)"\r\nContent-Type: audio/mpeg\r\n\r\n(.*?)\r\n--', re.DOTALL)
_ROUTES = ("/api/predict", "/api/transcribe", "/v1/audio/transcriptions")


class StandIn(HttpStandIn):
    """`serving` lists what successive questions find in service; the last one stays. None: no model. `heard`: the text
    that each route of the recogniser answers with; `asked` lists the paths of the questions after the model."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.serving: list[str | None] = [None]
        self.answering: str | None = None
        self.refused: dict[str, Any] | None = None
        self.status = 200
        self.posted: list[tuple[str, bytes]] = []
        self.heard = dict.fromkeys(_ROUTES[1:], "пять два")
        self.asked: list[str] = []

    @property
    def address(self) -> Address:
        return Address("the service", "VNYATNO_SERVICE_PORT", "127.0.0.1", self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        bundle = self.server.serving[0]
        if len(self.server.serving) > 1:
            self.server.serving.pop(0)
        if bundle is None:
            self._send(503, {"code": "no_model", "detail": "train one first"})
        else:
            self._send(200, {"bundle": bundle, "refused": self.server.refused})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = _FILE.search(body)
        assert found is not None, body
        assert self.path in _ROUTES
        self.server.posted.append((found[1].decode(), found[2]))
        if text := self.server.heard.get(self.path):
            assert self.path.startswith("/api") or b'name="model"' in body
            bundle = self.server.answering or self.server.serving[0]
            more = {"confidence": 0.9, "bundle": bundle, "duration": 1.5} if self.path.startswith("/api") else {}
            self._send(self.server.status, {"text": text, **more})
            return
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

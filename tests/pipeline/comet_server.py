"""A server on 127.0.0.1 that speaks as much of Comet's protocol as tracking uses, remembers what it was told, and fails
on demand."""

from __future__ import annotations

import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.http_stand_in import HttpStandIn

KEY_UNKNOWN = 90212
EXPERIMENT_EXISTS = 90999


class CometServer(HttpStandIn):
    """`failure` is what it does from now on: "" (serve), "500", "key" (refuse the API key), "hang" or "gone"
    (drop every connection)."""

    def __init__(self, failure: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.failure = failure
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.files: dict[str, bytes] = {}
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/clientlib/"

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients are killed here; their broken connections are no news."""

    def told(self, ending: str) -> list[dict[str, Any]]:
        """The JSON bodies of the requests whose path ends so."""
        return [body for path, body in list(self.requests) if path.endswith(ending)]

    def values(self, kind: str) -> list[dict[str, Any]]:
        """Single `metric`s or `parameter`s out of the batches."""
        return [value for body in self.told(f"batch/logger/experiment/{kind}") for value in body["values"]]

    def wait_for_metric(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.values("metric"):
            assert time.monotonic() < deadline, "no metric came"
            time.sleep(0.05)

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.failure == "hang":
            self.closing.wait()
        if self.failure == "500":
            return 500, {"msg": "out of order"}
        if self.failure == "key":
            return 400, {"sdk_error_code": KEY_UNKNOWN, "msg": "unknown key"}
        if path.endswith("logger/add/run") and not body["getOrCreateEnabled"]:
            known = [told for told in self.told("logger/add/run") if told["experimentKey"] == body["experimentKey"]]
            if len(known) > 1:
                return 400, {"sdk_error_code": EXPERIMENT_EXISTS}
        if path.endswith(("logger/add/run", "logger/get/run")):
            return 200, {"runId": "run", "project_id": "project", "focusUrl": f"{self.address}team/vnyatno/"}
        if path.endswith("isAlive/ver"):
            return 200, {"version": "4.40.0"}
        if path.endswith("status-report/update"):
            names = ("is_alive_beat_duration", "gpu_monitor_interval", "cpu_monitor_interval")
            return 200, {f"{name}_millis": 10_000 for name in (*names, "parameter_update_interval")}
        return 200, {}


class _Handler(BaseHTTPRequestHandler):
    server: CometServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        if self.server.failure == "gone":
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        address = urlsplit(self.path)
        told: dict[str, Any] = {}
        if address.path.endswith("/upload"):
            query = parse_qs(address.query)
            self.server.files[(query.get("fileName") or query["figName"])[0]] = body
        elif body:
            told = json.loads(body)
        self.server.requests.append((address.path, told))
        status, answer = self.server.answer(address.path, told)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _serve

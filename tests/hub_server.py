"""A stand-in for the Hugging Face hub, as far as its own client library asks it for a model."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.http_stand_in import HttpStandIn

SHA = "5" * 40
READER = "hf_reader"  # a token of somebody who may read gated models; any other has no access


class Hub(NamedTuple):
    """Where it answers, and the path of every file that it gave away."""

    endpoint: str
    given: list[str]


@contextmanager
def hub_server(models: Mapping[str, Path], gated: tuple[str, ...] = ()) -> Iterator[Hub]:
    """Serve folders as models by name; of the gated ones anybody may see the names of the files."""
    given: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            path = urlsplit(self.path).path.strip("/")
            asked = path.removeprefix("api/models/").split("/")
            name, rest = "/".join(asked[:2]), asked[2:]
            if name == "someone/failing":
                self._refuse(500, "", "the hub is out of order")
            elif name not in models:
                self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
            elif path.startswith("api/models/") and rest[0] == "revision":
                if rest[1] in ("main", SHA):
                    self._json({"id": name, "sha": SHA, "siblings": [], "gated": name in gated})
                else:
                    self._refuse(404, "RevisionNotFound", f"Invalid rev id: {rest[1]}")
            elif path.startswith("api/models/") and rest[0] == "tree":
                files = sorted(models[name].iterdir())
                self._json(
                    [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": self._oid(f)} for f in files]
                )
            elif name in gated and token != READER:
                self._refuse(403 if token else 401, "GatedRepo", "Access to this model is restricted")
            else:
                self._file(models[name] / rest[2])

        def _oid(self, file: Path) -> str:
            return hashlib.sha1(file.read_bytes()).hexdigest()

        def _json(self, value: object) -> None:
            self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _file(self, file: Path) -> None:
            given.append(file.name)
            self._answer(200, file.read_bytes(), {"ETag": f'"{self._oid(file)}"', "X-Repo-Commit": SHA})

        def _refuse(self, status: int, code: str, message: str) -> None:
            self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the test asks `given`."""

    server = HttpStandIn(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_port}", given)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

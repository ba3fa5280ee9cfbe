"""A stand-in of the Hugging Face hub for datasets: the part of its HTTP that the real client library speaks."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from tests.http_stand_in import HttpStandIn

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_that_has_access"


@dataclass
class Hub:
    """Datasets by name, each its files by path. Those in `gated` give files and facts to `TOKEN` alone."""

    datasets: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    """Paths of all requests."""
    downloads: list[str] = field(default_factory=list)
    """Files whose bytes were sent."""


@contextmanager
def serve(hub: Hub) -> Iterator[str]:
    """The address of a server that answers for `hub`."""
    server = HttpStandIn(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.asked_for = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(path)
        name = next((name for name in self.hub.datasets if f"/{name}" in path), None)
        if name is None:
            self._refuse(401, "RepoNotFound")
        elif name in self.hub.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "GatedRepo")
        elif path.startswith("/api/"):
            self._facts(name, path.removeprefix(f"/api/datasets/{name}"))
        else:
            self._file(name, path.partition(f"/resolve/{COMMIT}/")[2])

    do_HEAD = do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _facts(self, name: str, rest: str) -> None:
        files = self.hub.datasets[name]
        listed = {
            path: {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in files.items()
        }
        for path in files:
            for folder in [str(parent) for parent in PurePosixPath(path).parents][:-1]:
                listed[folder] = {"type": "directory", "path": folder, "oid": hashlib.sha1(folder.encode()).hexdigest()}
        if rest.startswith("/paths-info/"):
            self._json([listed[path] for path in self.asked_for.get("paths", []) if path in listed])
            return
        if rest.startswith("/tree/"):
            below = rest.removeprefix(f"/tree/{COMMIT}").strip("/")
            self._json([entry for path, entry in listed.items() if not below or path.startswith(f"{below}/")])
            return
        siblings = [{"rfilename": path} for path in files]
        self._json({"_id": "1", "id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})

    def _file(self, name: str, path: str) -> None:
        data = self.hub.datasets[name].get(path)
        if data is None:
            self._refuse(404, "EntryNotFound")
            return
        if self.command != "HEAD":
            self.hub.downloads.append(path)
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._answer(200, data, headers)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        span = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
        self._answer(206, data[first : last + 1], headers | span)

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code, "Content-Type": "application/json"})

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

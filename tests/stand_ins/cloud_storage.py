"""A stand-in for Google Cloud Storage that speaks the part of its JSON interface which google-cloud-storage uses.

The real client talks to it where `STORAGE_EMULATOR_HOST` holds its `url` (the fixture sets it). Buckets are there as
soon as they are named. Objects are kept in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c
import pytest

from tests.http_stand_in import HttpStandIn

PROJECT_NUMBER = "123456789012"  # of the project that every bucket belongs to

_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/([^/]+)/o/(.+)")
_LIST = re.compile(r"/storage/v1/b/([^/]+)/o")
_UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class CloudStorage(HttpStandIn):
    """`objects` maps (bucket, name) to the bytes; `requests` lists method and path of all that was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[tuple[str, str], bytes] = {}
        self.requests: list[str] = []
        self.unfinished: dict[str, tuple[str, str, bytearray]] = {}  # resumable uploads: id to bucket, name, bytes

    @property
    def url(self) -> str:
        """What `STORAGE_EMULATOR_HOST` must hold."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def names(self, uri: str) -> list[str]:
        """Names of the objects below `gs://bucket/prefix`, without that prefix."""
        bucket, _, prefix = uri.removeprefix("gs://").rstrip("/").partition("/")
        start = f"{prefix}/" if prefix else ""
        return sorted(
            name.removeprefix(start) for held, name in self.objects if held == bucket and name.startswith(start)
        )


class _Handler(BaseHTTPRequestHandler):
    server: CloudStorage
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address, query = self._asked()
        if found := _OBJECT.fullmatch(address.path):
            key = (found[1], unquote(found[2]))
            if key not in self.server.objects:
                return self._missing(key)
            if query.get("alt") == ["media"]:
                return self._media(key)
            return self._json(self._resource(key))
        if found := _LIST.fullmatch(address.path):
            prefix = query.get("prefix", [""])[0]
            keys = sorted(key for key in self.server.objects if key[0] == found[1] and key[1].startswith(prefix))
            return self._json({"kind": "storage#objects", "items": [self._resource(key) for key in keys]})
        bucket = address.path.rsplit("/", 1)[-1]
        about = {"kind": "storage#bucket", "id": bucket, "name": bucket, "projectNumber": PROJECT_NUMBER}
        return self._json(about)

    def do_POST(self) -> None:
        address, query = self._asked()
        found = _UPLOAD.fullmatch(address.path)
        body = self._body()
        if found is None:
            return self._json({"error": {"code": 404, "message": f"no stand-in for POST {address.path}"}}, 404)
        if query["uploadType"] == ["resumable"]:
            name = query.get("name", [None])[0] or json.loads(body)["name"]
            number = uuid.uuid4().hex
            self.server.unfinished[number] = (found[1], name, bytearray())
            query_text = f"uploadType=resumable&upload_id={number}"
            return self._json({}, headers={"Location": f"{self.server.url}{address.path}?{query_text}"})
        about, content = _parts(body, self.headers["Content-Type"])
        key = (found[1], json.loads(about)["name"])
        self.server.objects[key] = content
        return self._json(self._resource(key))

    def do_PUT(self) -> None:
        _, query = self._asked()
        number = query["upload_id"][0]
        bucket, name, held = self.server.unfinished[number]
        held += self._body()
        total = self.headers.get("Content-Range", "").rpartition("/")[2]
        if total in ("", "*") or len(held) < int(total):
            self.send_response(308)
            self.send_header("Range", f"bytes=0-{len(held) - 1}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.objects[(bucket, name)] = bytes(held)
        self._json(self._resource((bucket, name)))

    def do_DELETE(self) -> None:
        address, _ = self._asked()
        found = _OBJECT.fullmatch(address.path)
        key = (found[1], unquote(found[2])) if found else ("", address.path)
        if self.server.objects.pop(key, None) is None:
            return self._missing(key)
        self._send(204, b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _asked(self) -> tuple[Any, dict[str, list[str]]]:
        address = urlsplit(self.path)
        self.server.requests.append(f"{self.command} {unquote(address.path)}")
        return address, parse_qs(address.query)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _resource(self, key: tuple[str, str]) -> dict[str, str]:
        content = self.server.objects[key]
        quoted = key[1].replace("/", "%2F")
        return {
            "kind": "storage#object",
            "id": f"{key[0]}/{key[1]}/1",
            "bucket": key[0],
            "name": key[1],
            "generation": "1",
            "metageneration": "1",
            "size": str(len(content)),
            "md5Hash": _md5(content),
            "crc32c": _crc32c(content),
            "mediaLink": f"{self.server.url}/download/storage/v1/b/{key[0]}/o/{quoted}?alt=media",
        }

    def _media(self, key: tuple[str, str]) -> None:
        content = self.server.objects[key]
        hashes = {"X-Goog-Hash": f"crc32c={_crc32c(content)},md5={_md5(content)}", "X-Goog-Generation": "1"}
        found = _RANGE.match(self.headers.get("Range", ""))
        if found is None or not content:
            return self._send(200, content, "application/octet-stream", hashes)
        start, end = int(found[1]), min(int(found[2] or len(content) - 1), len(content) - 1)
        span = {"Content-Range": f"bytes {start}-{end}/{len(content)}"}
        self._send(206, content[start : end + 1], "application/octet-stream", hashes | span)

    def _missing(self, key: tuple[str, str]) -> None:
        self._json({"error": {"code": 404, "message": f"No such object: {key[0]}/{key[1]}"}}, 404)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), "application/json", headers or {})

    def _send(self, status: int, body: bytes, kind: str = "text/plain", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _parts(body: bytes, content_type: str) -> list[bytes]:
    """The parts of a multipart body as they were sent, without their heads."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    assert found is not None, content_type
    parts = body.split(b"--" + found[1].encode())[1:-1]
    return [part[part.index(b"\r\n\r\n") + 4 : -2] for part in parts]


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def _crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


@contextmanager
def running() -> Iterator[CloudStorage]:
    """A stand-in that answers while the block runs."""
    server = CloudStorage()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def cloud_storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudStorage]:
    """A stand-in that the real client talks to, here and in processes that the test starts."""
    with running() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server

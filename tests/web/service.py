"""A stand-in for the service: a real HTTP server on this machine that speaks the same protocol.

    with StubService() as stub:
        stub.reply("POST", "/api/predict", 422, problem("too_short", "…"))

What was asked stands in `stub.asked`.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from tests.http_stand_in import HttpStandIn

CLASSES = ["none", "burr", "fricative_g", "stutter"]
PREDICTION: dict[str, Any] = {
    "predict_proba": [0.06, 0.88, 0.04, 0.02],
    "classes": CLASSES,
    "exclusive": True,
    "class": "burr",
    "verdicts": {"burr": "yes", "fricative_g": "not_assessable", "stutter": "no"},
    "places": [{"class": "burr", "start": 0.42, "end": 0.52, "score": 0.61, "words": [0]}],
    "words": [{"text": "Карл", "start": 0.3, "end": 0.78}, {"text": "у", "start": 0.84, "end": 0.9}],
    "words_from": "text",
    "sounds": [{"letter": "р", "word": 0, "start": 0.42, "end": 0.52, "score": 0.09, "defects": {"burr": 0.91}}],
    "logits": [-0.4, 2.3, -0.8, -1.5],
    "bundle": "defects-1a2b3c4d5e6f",
    "duration": 2.84,
    "markers": {"р": 3.1, "г": 0.2},
    "quality": {
        "level_dbfs": -27.3,
        "peak_dbfs": -8.1,
        "clipped_share": 0.0,
        "silent_share": 0.12,
        "snr_db": 28.4,
    },
    "warnings": [],
    "tempo": {"syllables": 11, "speech_seconds": 2.31, "syllables_per_second": 4.76, "pause_share": 0.0},
    "peaks": [[-0.2, 0.2], [-0.4, 0.4], [-0.1, 0.1]],
    "unlike_training": None,
}
MODEL: dict[str, Any] = {
    "bundle": "defects-1a2b3c4d5e6f",
    "recipe": "defects",
    "language": "ru",
    "created": "2026-11-01T10:00:00+00:00",
    "published": "2026-11-01T10:05:00+00:00",
    "previous": None,
    "classes": [{"name": name, "names": {"ru": name, "en": name}} for name in CLASSES],
    "exclusive": True,
    "letters": ["р", "г"],
    "limits": {"min_seconds": 0.3, "max_seconds": 60.0, "max_upload_bytes": 25_000_000, "sample_rate": 16_000},
    "gate": [{"name": "minimum_macro_f1", "passed": True, "detail": "macro-F1 0.81 is at least 0.5"}],
    "gate_override": None,
    "metrics": {"macro_f1": 0.81},
    "lineage": {},
    "refused": None,
}

RECOGNISER: dict[str, Any] = {
    "bundle": "asr-2b3c4d5e6f70",
    "recipe": "asr",
    "language": "ru",
    "created": "2026-11-01T10:00:00+00:00",
    "published": "2026-11-01T10:05:00+00:00",
    "previous": None,
    "vocabulary_size": 36,
    "frame_seconds": 0.02,
    "limits": {"min_seconds": 0.3, "max_seconds": 1800.0, "max_upload_bytes": 25_000_000, "sample_rate": 16_000},
    "gate": [{"name": "maximum_wer", "passed": True, "detail": "WER 0.124 on 900 words, at most 0.2"}],
    "gate_override": None,
    "metrics": {"wer": 0.124, "cer": 0.05, "clips": 41, "words": 900},
    "lineage": {},
    "refused": None,
}


def problem(status: int, code: str, detail: str) -> dict[str, Any]:
    """A problem document (RFC 9457) as the service writes it."""
    return {"type": "about:blank", "title": "Problem", "status": status, "code": code, "detail": detail}


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class StubService:
    """`replies` maps method and path to status, body and seconds to wait; a path without a query is answered with
    any, unless it is there with that one."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: dict[tuple[str, str], tuple[int, bytes, float]] = {}
        self._server = HttpStandIn(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.reset()

    def reset(self) -> None:
        """Answer everything well again, and forget what was asked."""
        self.asked.clear()
        self.replies.clear()
        self.reply("POST", "/api/predict", 200, PREDICTION)
        self.reply("GET", "/api/model", 200, MODEL)
        none = problem(503, "no_model", "no recogniser is in service yet")
        self.reply("GET", "/api/model?recipe=asr", 503, none)
        self.reply("GET", "/api/health", 200, {"status": "ok", "bundle": MODEL["bundle"], "refused": None})
        self.reply("GET", "/api/models", 200, {"bundles": [], "total": 0, "limit": 20, "offset": 0, "current": None})

    def reply(self, method: str, path: str, status: int, body: object, seconds: float = 0.0) -> None:
        """What to answer from now on, after `seconds`; `body` as JSON unless it is bytes."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.replies[method, path] = status, raw, seconds

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                path = self.path.partition("?")[0]
                stub.asked.append(Asked(self.command, self.path, dict(self.headers), body))
                missing = (404, json.dumps(problem(404, "not_found", "Not Found")).encode(), 0.0)
                usual = stub.replies.get((self.command, path), missing)
                status, raw, seconds = stub.replies.get((self.command, self.path), usual)
                time.sleep(seconds)
                with suppress(ConnectionError):  # who asked has gone
                    self._send(status, raw)

            def _send(self, status: int, raw: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_DELETE = _answer

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

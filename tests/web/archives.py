"""Archives of calls in tests: a zip, and what the service says of it."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from tests.web.pages import sound
from tests.web.service import CLASSES, StubService

BATCH = "5d1f0c7e9a5b4c0f8f5e6b3f0a1c2d3e"
NAMES = (
    "calls/anna/2026-11-03 1.wav",
    "calls/anna/2026-11-04 2.wav",
    "calls/*борис*/2026-11-03 =3.wav",
    "calls/notes.txt",
)


def archive(names: tuple[str, ...] = NAMES) -> io.BytesIO:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name in names:
            zipped.writestr(zipfile.ZipInfo(name), sound())  # the same bytes whenever it is made
    made.seek(0)
    return made


def record(file: str, burr: float, word: str = "yes", side: int | None = None) -> dict[str, Any]:
    """A line of results: `burr` is its probability, and its verdict is `word`."""
    probabilities = [1 - burr, burr, 0.0, 0.0]
    common = {"side": side, "classes": CLASSES, "probabilities": probabilities, "labels": ["burr"]}
    place = {"defect": "burr", "start": 0.42, "end": 0.52, "score": 0.6}
    words = {"burr": word, "fricative_g": "not_assessable", "stutter": "no"}
    verdict = common | {"words": words, "shares": {"burr": 0.25}, "seconds": 1.0, "speech_seconds": 0.8}
    window = common | {"start": 0.0, "end": 1.0, "places": [place], "words": words}
    return {"file": file, "state": "done", "bundle": "defects-1", "verdicts": [verdict], "windows": [window]}


RECORDS = [
    record(NAMES[0], 0.9),
    record(NAMES[1], 0.2, "no"),
    record(NAMES[2], 0.55, "unsure"),
    {"file": NAMES[3], "state": "failed", "code": "not_audio", "detail": "[no](http://sound)"},
]


def results(records: list[dict[str, Any]] = RECORDS) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)


def status(state: str, progress: float = 0.0, left: float | None = None, batch: str = BATCH) -> dict[str, Any]:
    files = {"total": 4, "done": round(3 * progress), "failed": 0}
    return {"id": batch, "state": state, "files": files, "progress": progress, "seconds_left": left}


def serve(stub: StubService, batch: str = BATCH) -> None:
    """Let the service take archives, and be half through."""
    stub.reply("GET", "/api/batches", 200, {"batches": []})
    stub.reply("POST", "/api/batches", 202, status("waiting", batch=batch))
    stub.reply("GET", f"/api/batches/{batch}", 200, status("running", 0.5, 600, batch))
    stub.reply("GET", f"/api/batches/{batch}/results", 200, results())
    stub.reply("DELETE", f"/api/batches/{batch}", 200, {"deleted": batch})


def finish(stub: StubService, state: str = "done") -> None:
    stub.reply("GET", f"/api/batches/{BATCH}", 200, status(state, 1.0))

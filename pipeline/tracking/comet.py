"""Tracking in Comet without waiting for it.

What is recorded goes into a journal; a process of its own (`process.py`) carries that to Comet, or into an offline
archive. Nothing here uses the network, imports comet_ml, or raises because of Comet.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.tracking.settings import Tracking, TrackingSettings
from pipeline.tracking.tracker import Tracker
from speech.process.messages import readable

IMPORT_SECONDS = 60.0
"""Longest that the process may take to begin: importing comet_ml takes 4 s, or 15 s where other things compute."""
FINISH_SECONDS = 20.0
"""Longest that `finish` waits after that."""
SERVER_SECONDS = 12.0
"""The server's part of it; the rest is for the offline archive."""

_ENVIRONMENT = {
    "COMET_DISABLE_AUTO_LOGGING": "1",
    "COMET_DISABLE_ANNOUNCEMENT": "1",
    "COMET_ERROR_TRACKING_ENABLE": "false",  # reports of comet_ml's own errors to a third party
    "COMET_INTERNAL_REPORTING": "false",
    # By default Comet waits an hour for messages and three for files.
    "COMET_TIMEOUT_CLEANING": "10",
    "COMET_TIMEOUT_UPLOAD": "10",
    # By default a server that does not answer is asked ten times.
    "COMET_GET_OR_ADD_EXPERIMENT_RETRY_TOTAL": "2",
    "COMET_HTTP_SESSION_RETRY_TOTAL": "1",
    # Comet's own archive depends on the server's version; the one from the journal does not, and one is enough.
    "COMET_FALLBACK_STREAMER_FALLBACK_TO_OFFLINE_MIN_BACKEND_VERSION": "999.0.0",
}
"""What comet_ml is told in its process. Everything else of COMET_*, above all the key, is the user's."""


class CometTracker(Tracker):
    """Tracks one stage of a run. Raises OSError where `folder` cannot be written or the process cannot start."""

    def __init__(
        self, settings: TrackingSettings, run_id: str, stage: str, folder: Path, log: Callable[[str], None]
    ) -> None:
        self._stage = stage
        self._log = log
        self._archives = (folder / stage).absolute()
        self._archives.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(dir=self._archives, prefix="journal-"))
        self._journal = (self._work / "journal.jsonl").open("a", encoding="utf-8")
        self._writable = True
        self._ready = self._finished = False
        self._heard = b""
        self._result: str | None = None
        self._process = self._launch(settings, run_id)

    def _launch(self, settings: TrackingSettings, run_id: str) -> subprocess.Popen[bytes]:
        plan = {
            "stage": os.getpid(),
            "key": uuid.UUID(run_id).hex,
            "name": run_id,
            "project": settings.project,
            "workspace": settings.workspace,
            "online": settings.mode is Tracking.online,
            "journal": self._journal.name,
            "archives": str(self._archives),
            "patience": SERVER_SECONDS,
        }
        # -P: the modules beside that file must not be taken for libraries of the same names.
        command = [sys.executable, "-P", str(Path(__file__).with_name("process.py")), json.dumps(plan)]
        with (self._work / "comet.log").open("wb") as errors:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                env={**os.environ, **_ENVIRONMENT, "TMPDIR": str(self._work)},
            )

    def parameters(self, values: Mapping[str, Any]) -> None:
        self._record(parameters=dict(_flat(values, self._stage)))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        named = {f"{self._stage}/{name}": float(value) for name, value in values.items()}
        self._record(metrics=named, step=int(step))

    def confusion(self, matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> None:
        counts = [[int(count) for count in row] for row in matrix]
        self._record(confusion=counts, labels=list(labels), name=f"{self._stage}-confusion-matrix")

    def picture(self, name: str, png: bytes) -> None:
        self._record(picture=base64.b64encode(png).decode(), name=f"{self._stage}/{name}")

    def finish(self) -> str | None:
        if self._finished:
            return self._result
        self._finished = True
        self._journal.close()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the process is gone, as `_listen` finds out
            # A byte, not just the end: forked children of this process, say data loaders, may hold the pipe open.
            self._process.stdin.write(b"\n")
        self._process.stdin.close()
        self._listen(IMPORT_SECONDS, until_ready=True)
        self._listen(FINISH_SECONDS)
        self._process.kill()
        self._process.wait()
        if self._result is None:
            self._log(f"Comet: gave up; what the stage recorded is in {self._work}")
        else:
            shutil.rmtree(self._work, ignore_errors=True)
        return self._result

    def _record(self, **record: Any) -> None:
        try:
            if self._writable:
                self._journal.write(json.dumps(record, default=str) + "\n")
                self._journal.flush()
        except OSError as error:  # a full disk: the run may still end well
            self._writable = False
            self._log(f"Comet: nothing more is tracked, {error}")
        self._listen(0.0)

    def _listen(self, seconds: float, until_ready: bool = False) -> None:
        """Take in what the process says, for at most `seconds`, until it is ready or has ended."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        while not (until_ready and self._ready):
            if not readable(self._process.stdout, max(0.0, deadline - time.monotonic())):
                return
            heard = os.read(self._process.stdout.fileno(), 1 << 16)
            if not heard:
                return
            *lines, self._heard = (self._heard + heard).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"ready": _}:
                self._ready = True
            case {"link": link}:
                self._log(f"Comet: {link}")
            case {"problem": problem}:
                self._log(f"Comet: {problem}")
            case {"done": link}:
                self._result = link
            case {"archive": path}:
                self._result = path
                self._log(f"Comet: wrote an offline archive; `comet upload {path}` sends it")


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        dotted = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, dotted)
        else:
            yield dotted, value

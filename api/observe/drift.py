"""How far the newest answers of a worker have moved from what the bundle in service knows.

Requests only add their answers. A thread counts them once a minute, for /metrics and into a file beside the pointer,
where the pipeline adds up what all workers counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from speech.bundles.defects import LoadedBundle
from speech.home import Home
from speech.process import background
from speech.serving.drift import (
    LEAST_ANSWERS,
    Answer,
    Scale,
    by_chance,
    count,
    psi,
    reference,
    scales,
    tally_file,
    tally_files,
    write_tally,
)

log = logging.getLogger("vnyatno.service")

SECONDS = 60.0  # between two counts
_KEPT_SECONDS = 7 * 86_400.0  # files of workers that are no more
_BUNDLES = 2  # windows kept: around a swap the last answers of the old bundle mingle with the first of the new


class Observer(Protocol):
    """Who is told how far each figure has drifted, and how far it does by chance: the metrics."""

    def drifted(self, answers: int, psi: Mapping[str, float], by_chance: Mapping[str, float]) -> None: ...


class _Bundle(NamedTuple):
    """What is kept of a bundle.

    Its model is not: a worker that is asked nothing would hold it long after a swap.
    """

    id: str
    folder: Path
    metrics: dict[str, Any]


def worker_name(index: int | None) -> str:
    """A name for this worker's file that it takes again after a restart; `index` is its number in the service."""
    port = os.environ.get("VNYATNO_SERVICE_PORT") or "8000"
    return re.sub(r"[^A-Za-z0-9-]+", "-", f"{socket.gethostname()}-{port}-{index or 0}")


class DriftMonitor:
    """Keeps the newest answers per bundle and counts them; `add` may be called from any thread."""

    def __init__(self, home: Home, observer: Observer, window: int, worker: str) -> None:
        """`window`: how many answers are kept."""
        self._home = home
        self._observer = observer
        self._window = window
        self._worker = worker
        self._answers: dict[str, deque[Answer]] = {}
        self._newest: _Bundle | None = None
        self._known: tuple[str, dict[str, Scale]] = ("", {})
        self._unwritten = False
        self._said = False
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = background.thread("drift", self._follow)

    def start(self) -> None:
        """Begin to count in a thread."""
        self._tidy()
        self._thread.start()

    def close(self) -> None:
        """Stop counting, after a last time."""
        self._end.set()
        background.ended([self._thread])
        self.count()

    def add(self, bundle: LoadedBundle, measurements: Mapping[str, float], named: tuple[str, ...]) -> None:
        """Keep an answer."""
        with self._lock:
            self._newest, self._unwritten = _Bundle(bundle.id, bundle.folder, bundle.metrics), True
            self._answers.setdefault(bundle.id, deque(maxlen=self._window)).append(Answer(measurements, named))
            while len(self._answers) > _BUNDLES:
                del self._answers[next(iter(self._answers))]

    def count(self) -> None:
        """Count the window of the bundle that answered last, tell the observer and write the file."""
        with self._lock:
            bundle = self._newest
            if bundle is None or not self._unwritten:
                return
            self._unwritten = False
            answers = list(self._answers[bundle.id])
        known = self._scales(bundle)
        counts = count(answers, known)
        told = counts if len(answers) >= LEAST_ANSWERS else {}
        self._observer.drifted(
            len(answers),
            {name: psi(known[name], told[name]) for name in told},
            {name: by_chance(known[name], told[name]) for name in told},
        )
        self._try(lambda: write_tally(self._home, bundle.id, self._worker, len(answers), counts))

    def _scales(self, bundle: _Bundle) -> dict[str, Scale]:
        if self._known[0] != bundle.id:
            try:
                known = reference(bundle.folder, bundle.metrics)
            except (OSError, ValueError) as error:  # of a bundle in memory whose files were lost
                log.warning("%s: drift from the training clips cannot be told: %s", bundle.id, error)
                known = scales({}, bundle.metrics)
            self._known = bundle.id, known
        return self._known[1]

    def _follow(self) -> None:
        while not self._end.wait(SECONDS):
            try:
                self.count()
            except Exception:  # the thread must outlive every surprise, or drift would never be told again
                log.exception("counting drift failed")

    def _tidy(self) -> None:
        """Delete the files of workers that have not written for long."""
        own, oldest = tally_file(self._home, self._worker), time.time() - _KEPT_SECONDS

        def tidy() -> None:
            for path in tally_files(self._home):
                with contextlib.suppress(FileNotFoundError):  # another worker tidies, too
                    if path != own and path.stat().st_mtime < oldest:
                        path.unlink()

        self._try(tidy)

    def _try(self, write: Callable[[], None]) -> None:
        """Write a file. A folder that may not be written costs the file and not the answers; that is said once."""
        try:
            write()
        except OSError as error:
            if not self._said:
                log.warning("counts of drift cannot be written, the pipeline will not see them: %s", error)
            self._said = True

"""Report lines: megabytes done, of how many, speed, time left."""

from __future__ import annotations

import time

from pipeline.progress import Report
from speech.archives.errors import megabytes

SECONDS_BETWEEN_LINES = 3.0
"""Often enough to see that it moves, seldom enough for a log kept for months."""


class Meter:
    """Tells how far a transfer of bytes is, at most every `every_seconds`."""

    def __init__(
        self,
        title: str,
        total: int | None,
        progress: Report,
        done: int = 0,
        every_seconds: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        """`title` begins each line; `total` bytes if known; `done` bytes were there before."""
        self._title = title
        self._total = total
        self._progress = progress
        self._every = every_seconds
        self._before = done
        self._done = done
        self._start = self._told = time.monotonic()

    def reached(self, done: int, total: int | None = None) -> None:
        """`done` bytes are there now, those from before included; `total` if it has become known."""
        self._done = done
        self._total = total if total is not None else self._total
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            self._progress(self._line(now))

    def finish(self) -> None:
        """The closing line."""
        seconds = time.monotonic() - self._start
        self._progress(f"{self._title}: {megabytes(self._done)} in {seconds:.1f} s")

    def _line(self, now: float) -> str:
        speed = (self._done - self._before) / max(now - self._start, 1e-9)
        of = "" if self._total is None else f" of {megabytes(self._total)}"
        line = f"{self._title}: {megabytes(self._done)}{of}, {speed / 1e6:.2f} MB/s"
        if self._total is not None and speed > 0:
            line += f", {_duration((self._total - self._done) / speed)} left"
        return line


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

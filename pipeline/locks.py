"""What only one process does at a time; others wait, and say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.progress import Report


@contextmanager
def held(path: Path, waiting: str, report: Report) -> Iterator[None]:
    """Hold the lock of this file, which ends with the process. `waiting` is reported where another one has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

"""The files through which workers add up their metrics, on a disk that may be full.

`prometheus_client` maps files with holes into memory: where the disk has no room for a page, writing to it is not an
error but SIGBUS, which ends the worker, and each one that follows it. Here a file has all its room before it is written
to; where there is none, the worker counts on in memory of its own, which nobody sees.
"""

from __future__ import annotations

import logging
import mmap
import os
from pathlib import Path

import prometheus_client.values
from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger("vnyatno.service")

_FIRST_BYTES = 1 << 16
_LONGEST_FRAME = 64  # bytes that an entry takes besides its key, and more


class MetricFile(MmapedDict):
    """A worker's metrics of one kind, by key."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        super().__init__(filename if read_mode or _make(Path(filename)) else _in_memory(), read_mode)

    def _init_value(self, key: str) -> None:
        needed = self._used + len(key.encode()) + _LONGEST_FRAME
        if needed > self._capacity:
            self._grow(max(2 * self._capacity, needed))
        super()._init_value(key)

    def _grow(self, size: int) -> None:
        try:
            os.posix_fallocate(self._f.fileno(), 0, size)
        except OSError as error:
            _say(self._fname, error)
            kept = bytes(self._m)
            self._f = open(_in_memory(), "r+b")  # noqa: SIM115  # closed by `close`, as the one before it
            self._f.write(kept)
            self._f.truncate(size)
        self._capacity = size
        self._m = mmap.mmap(self._f.fileno(), size)


def install() -> None:
    """Keep all metrics that are made from now on so."""
    prometheus_client.values.MmapedDict = MetricFile  # type: ignore[misc]


def _make(path: Path) -> bool:
    """Make the file with all its room; whether the disk had it."""
    try:
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, max(_FIRST_BYTES, file.tell()))
    except OSError as error:
        _say(str(path), error)
        path.unlink(missing_ok=True)  # whoever adds the files up cannot read an empty one
        return False
    return True


def _in_memory() -> str:
    """The name of a file that is on no disk."""
    return f"/proc/self/fd/{os.memfd_create('vnyatno-metrics')}"


def _say(name: str, error: OSError) -> None:
    log.warning(
        "%s has no room (%s): this worker's metrics at /metrics stand still until it restarts; free disk space",
        name,
        error.strerror,
    )

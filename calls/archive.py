"""A call archive, calls that were handed in together: a zip, several files or a folder.

Routes, answers, settings and tables call it a batch, and its calls items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from speech.longform.cutter import Listening

LOCAL = "local"
"""The owner of what comes from this machine without a key."""

ArchiveState = Literal["waiting", "running", "done", "cancelled"]
CallState = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class NewCall:
    """A file of an archive before anything is judged.

    `source` says where its bytes are, as the archive's kind has it. A file with a `code` cannot be judged, and `detail`
    says why.
    """

    name: str
    source: str
    bytes: int
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class NewCallArchive:
    """`kind`: what items' sources are: entries of `archive.zip`, files below the archive's own folder, or files below
    `root`, which are read in place. `bytes` are those that it takes on this disk."""

    id: str
    owner: str
    kind: Literal["zip", "files", "folder"]
    name: str
    bytes: int
    listening: Listening
    root: str | None = None


@dataclass(frozen=True)
class CallArchive:
    """An archive as it is now. Moments are seconds since 1970; `bytes_done` of `bytes_total` are of files, unpacked.

    `seconds` of sound were judged. `seconds_left` is None where nothing was measured yet, or nothing is left.
    """

    id: str
    owner: str
    kind: str
    name: str
    state: ArchiveState
    created: float
    finished: float | None
    listening: Listening
    files: Mapping[CallState, int]
    bytes_total: int
    bytes_done: float
    seconds: float
    seconds_left: float | None

    @property
    def progress(self) -> float:
        """0 to 1."""
        if self.state == "done" or not self.bytes_total:
            return 1.0
        return min(1.0, self.bytes_done / self.bytes_total)


@dataclass(frozen=True)
class Claim:
    """A call that one process has taken to judge it, under one bundle."""

    archive: str
    number: int
    name: str
    source: str
    bundle: str
    holder: str
    kind: str
    root: str | None
    listening: Listening


@dataclass(frozen=True)
class Failure:
    """A file that was not judged, and why."""

    name: str
    code: str
    detail: str


def listening_as_dict(listening: Listening) -> dict[str, Any]:
    """JSON-able, under the names of the file; `listening_from_dict` reads it back."""
    values = asdict(listening)
    return {"sides": values.pop("each_channel"), **values}


def listening_from_dict(value: Mapping[str, Any]) -> Listening:
    """Raises KeyError or TypeError where `value` is not what `listening_as_dict` gives."""
    values = dict(value)
    return Listening(each_channel=values.pop("sides"), **values)

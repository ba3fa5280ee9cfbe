"""How much may come out of an archive, and the count of what does."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.archive.meter import Meter
from speech.archives.errors import UnsafeArchive, megabytes


@dataclass(frozen=True)
class UnpackLimits:
    """How much an archive may hold. Counted while unpacking, not taken from its headers."""

    max_files: int = 200_000
    """Entries, folders and ignored ones included."""

    max_bytes: int = 100 * 10**9
    """Bytes of all files together, unpacked."""

    max_file_bytes: int = 2 * 10**9
    """Bytes of one file: a wav of three hours in studio quality."""

    max_ratio: float = 100.0
    """Unpacked bytes to bytes of the archive. Recordings give 1 to 3, texts 10."""

    ratio_from_bytes: int = 64 * 10**6
    """Unpacked bytes from which on the ratio counts: a silent recording packs a thousandfold and harms nobody."""

    def __post_init__(self) -> None:
        for name in ("max_files", "max_bytes", "max_file_bytes", "max_ratio"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


def too_much(source: str, found: str, allowed: str, setting: str) -> UnsafeArchive:
    return UnsafeArchive(
        source,
        f"{found}, more than the {allowed} allowed: a zip bomb, or a very large archive",
        f"If the archive is honest, raise {setting} or split it",
    )


@dataclass
class Budget:
    """Counts what comes out and stops it at the limits."""

    source: str
    limits: UnpackLimits
    packed_bytes: int
    meter: Meter
    bytes: int = field(default=0, init=False)

    def spend(self, name: str, count: int, in_file: int) -> None:
        """`count` more bytes came out of file `name`, `in_file` of it so far."""
        self.bytes += count
        if in_file > self.limits.max_file_bytes:
            allowed = megabytes(self.limits.max_file_bytes)
            raise too_much(self.source, f"{name!r} holds more bytes", allowed, "max_file_bytes")
        if self.bytes > self.limits.max_bytes:
            raise too_much(self.source, "more bytes came out", megabytes(self.limits.max_bytes), "max_bytes")
        ratio = self.bytes / self.packed_bytes
        if self.bytes > self.limits.ratio_from_bytes and ratio > self.limits.max_ratio:
            found = f"at {name!r} the archive has grown {ratio:.0f}-fold"
            raise too_much(self.source, found, f"{self.limits.max_ratio:.0f}-fold", "max_ratio")
        self.meter.reached(self.bytes)

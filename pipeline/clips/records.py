"""What is known of one clip, of one that cannot be used, and of one that is another's double."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ID_LENGTH = 16  # hex digits of a hash: 64 bits, so that no two clips of a corpus share an id by chance


@dataclass(frozen=True)
class ClipRecord:
    """One usable recording. Decoded sound lies in the clip set's sample file from `offset`, `length` samples long."""

    id: str
    """First 16 hex digits of `content`: equal sound has the same id in every archive and run."""
    archive: str
    """The archive's namespace; speakers are told apart by it."""
    file: str
    """Path below the archive's folder."""
    row: int | None
    """The table's row, as a spreadsheet counts; None for a recording that no row names."""
    sha256: str
    """Hex sha256 of the file's bytes."""
    content: str
    """Hex sha256 of the decoded samples."""
    label: str | None
    """Its class, or the first of them; None where no one said."""
    speaker: str | None
    text: str | None
    group: str | None
    split: str | None
    """train, validation or test; before splitting what the table's split column says, if anything."""
    seconds: float
    source_rate: int
    """Hertz, before resampling."""
    channels: int
    level_dbfs: float
    peak_dbfs: float
    clipped_share: float
    silent_share: float
    offset: int
    """Samples before this clip in the sample file."""
    length: int
    """Samples."""
    stratum: str | None = None
    """What new speakers are dealt out by besides: see `pipeline.clips.table.Row`."""
    also: tuple[str, ...] = ()
    """Its further classes, where classes are not exclusive; `label` comes before them in the order of the classes."""
    codec: str = ""
    """Container and codec of the file; empty in sets of before."""
    kilobits: float = 0.0
    """Of the file, for a second of its sound."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All its classes, in order; none where it is unlabelled."""
        return () if self.label is None else (self.label, *self.also)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ClipRecord:
        """What `as_dict` gave, read back from JSON."""
        return cls(**(value | {"also": tuple(value.get("also", ()))}))


@dataclass(frozen=True)
class Fault:
    """A row or a recording that was quarantined. `row` is None for what no row names, `file` empty where unknown."""

    archive: str
    row: int | None
    file: str
    code: str
    message: str

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row is not None else "no row"
        return f"{self.archive}: {place}{f' ({self.file})' if self.file else ''}: {self.message}"


@dataclass(frozen=True)
class Double:
    """A recording left out because the clip `of` holds the same sound and does not contradict it."""

    archive: str
    row: int | None
    file: str
    of: str


@dataclass(frozen=True)
class Candidate:
    """A recording that is to be decoded, and what the table says of it."""

    archive: str
    path: str
    """Absolute path."""
    file: str
    """Path below the archive's folder."""
    row: int | None = None
    label: str | None = None
    speaker: str | None = None
    text: str | None = None
    split: str | None = None
    group: str | None = None
    stratum: str | None = None
    also: tuple[str, ...] = ()

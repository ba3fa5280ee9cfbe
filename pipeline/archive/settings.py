"""The settings of archives: where the data come from, and what an archive may be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from pipeline.archive.budget import UnpackLimits
from pipeline.settings import Settings

_GIB = 1 << 30
NO_SOURCE = "put the link or the path of your archive here"
"""What a ready configuration holds in the place of a source; it is none."""


class ArchiveSettings(Settings):
    """Where the data come from, and what an archive may be."""

    _sources_needed: ClassVar[bool] = True

    not_in_key = frozenset(
        {"sources", "companions", "allowed_roots", "allow_private_network", "refresh", "timeout_seconds", "retries"}
        | {"max_download_gib", "max_unpacked_gib", "max_files"}
    )

    sources: list[str] = Field(
        description="Zipped archives: Google Drive share links, http(s) addresses or paths. All are used together."
    )
    namespaces: list[str] = Field(
        default_factory=list,
        description="A name per source, in order, that keeps its speakers apart from other archives' and their splits "
        "fixed when a later version of the archive comes. Empty: the file's name (Drive: the file's id).",
    )
    companions: list[str] = Field(
        default_factory=list,
        description="Further archives, named as sources are, that are heard in training alone: they judge nothing, and "
        "clips of classes that this run does not have are left out. The ready configurations name natural voices.",
    )
    allowed_roots: list[str] = Field(
        default_factory=list,
        description="Folders below which local archives may lie, beside those in VNYATNO_ARCHIVE_ROOTS "
        "(by default samples/ and VNYATNO_HOME/archives).",
    )
    allow_private_network: bool = Field(False, description="Whether http(s) sources in the private network are taken.")
    refresh: bool = Field(False, description="Ask a remote source again even where its archive was downloaded before.")
    timeout_seconds: float = Field(60.0, gt=0, description="Seconds without an answer after which a try is given up.")
    retries: int = Field(4, ge=0, le=100, description="Tries after the first one that fails; downloads resume.")
    max_download_gib: float = Field(50.0, gt=0, description="Largest download, GiB.")
    max_unpacked_gib: float = Field(200.0, gt=0, description="Largest unpacked archive, GiB.")
    max_files: int = Field(1_000_000, gt=0, description="Most files in an archive.")

    @model_validator(mode="after")
    def _check(self) -> ArchiveSettings:
        named = all(source.strip() and source != NO_SOURCE for source in self.sources)
        if (self._sources_needed and not self.sources) or not named:
            raise ValueError("sources: name at least one archive (a Drive link, an address or a path)")
        # Without sources there is one origin that is no archive.
        if self.namespaces and len(self.namespaces) != (len(self.sources) or 1):
            raise ValueError("namespaces: give one per source, or none")
        return self

    @property
    def max_download_bytes(self) -> int:
        """Largest download, bytes."""
        return int(self.max_download_gib * _GIB)

    @property
    def unpack_limits(self) -> UnpackLimits:
        """How much an archive may hold."""
        return UnpackLimits(max_files=self.max_files, max_bytes=int(self.max_unpacked_gib * _GIB))

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders below which local archives may lie."""
        return tuple(Path(root) for root in self.allowed_roots)

    def with_roots(self, roots: Sequence[Path]) -> Self:
        """The same, with further folders below which local archives may lie."""
        return self.model_copy(update={"allowed_roots": [*map(str, roots), *self.allowed_roots]})

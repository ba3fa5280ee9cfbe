"""What can be wrong with an archive, one class per kind of mistake; every message names the source and the remedy."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_SECRET_FIELD = re.compile(r"token|sig|secret|password|credential|api_?key", re.IGNORECASE)


def shown(source: str) -> str:
    """`source` as it may stand in messages and logs: a URL without its user name, password and signed fields."""
    if "://" not in source:
        return source
    try:
        parts = urlsplit(source)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # not a URL after all: the error about it has to show it as it is
        return source
    host = f"[{host}]" if ":" in host else host
    login = "***@" if parts.username or parts.password else ""
    fields = parse_qsl(parts.query, keep_blank_values=True)
    query = parts.query
    if any(_SECRET_FIELD.search(name) for name, _ in fields):
        query = urlencode([(name, "***" if _SECRET_FIELD.search(name) else value) for name, value in fields], safe="*")
    return urlunsplit((parts.scheme, f"{login}{host}{port}", parts.path, query, parts.fragment))


def megabytes(count: float) -> str:
    """Bytes as text in MB (10^6 bytes), one decimal."""
    return f"{count / 1e6:.1f} MB"


class ArchiveError(ValueError):
    """An archive cannot be had or cannot be used.

    `source` is the archive as the user named it (secrets masked), `problem` what is wrong, `remedy` what to do.
    """

    def __init__(self, source: str, problem: str, remedy: str) -> None:
        super().__init__(source, problem, remedy)
        self.source = shown(source)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}. {self.remedy}."


class SourceNotFound(ArchiveError):
    """The link or path leads to nothing."""


class SourceUnavailable(ArchiveError):
    """The server does not answer, answers with an error, or keeps breaking off, after all retries."""


class NoPermission(ArchiveError):
    """The file exists but is not shared with whoever runs the pipeline."""


class QuotaExceeded(ArchiveError):
    """Google Drive refuses for now: too many downloads of this file or from this network."""


class ForbiddenSource(ArchiveError):
    """The source is outside the allowed roots, in the private network, or of a scheme that is not taken."""


class UnsupportedLink(ArchiveError):
    """A link that does not lead to one file: to a folder, document or search page of Google Drive, or to a dataset."""


class TooLarge(ArchiveError):
    """More bytes than `max_download_bytes`."""


class NotAnArchive(ArchiveError):
    """What came is something else than a zip: a web page, another archive format, a text."""


class Truncated(ArchiveError):
    """The zip ends before its table of contents."""


class DamagedArchive(ArchiveError):
    """The zip contradicts itself: checksums, sizes or headers do not fit."""


class UnsafeArchive(ArchiveError):
    """The zip would write outside its folder, holds links or devices, or grows beyond the limits (a bomb)."""


class ImpossibleName(UnsafeArchive):
    """One entry's name is none that a disk takes: it costs that entry, not the archive."""


class EncryptedArchive(ArchiveError):
    """The zip is protected by a password."""


class UnsupportedArchive(ArchiveError):
    """A real zip that uses a packing method which is not taken (Deflate64, bzip2, several volumes, …)."""


class UnexpectedLayout(ArchiveError):
    """A whole zip whose folders are not those of a training archive."""


class DiskFull(ArchiveError):
    """The disk has no room for the download or for the unpacked files."""

    @classmethod
    def of(cls, source: str, folder: Path, needed: int | None = None, free: int | None = None) -> DiskFull:
        """The error for `folder`'s disk; `needed` and `free` in bytes where they are known."""
        room = "" if free is None else f" ({megabytes(free)} free)"
        more = "" if needed is None else f", {megabytes(needed)} needed"
        return cls(
            source,
            f"no room left on the disk of {folder}{more}{room}",
            "Free some space or move VNYATNO_HOME to a larger disk, then launch again",
        )


def is_disk_full(error: OSError) -> bool:
    """Whether a write failed for want of space or quota rather than for another reason."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)

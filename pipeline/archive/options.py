"""How archives are fetched, and what fetching gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]
"""Takes one line of text for the user, without a line feed."""


@dataclass(frozen=True)
class FetchOptions:
    """Limits and manners of a download."""

    allowed_roots: tuple[Path, ...] = ()
    """Folders below which local archives may lie (symbolic links resolved); none by default."""

    allow_private_network: bool = False
    """Whether addresses of this machine and of the private network may be downloaded from."""

    timeout_seconds: float = 60.0
    """Seconds to wait for a connection and for the next bytes; not for the whole download."""

    retries: int = 5
    """Further attempts after one that failed; counted anew whenever one got further than those before."""

    retry_wait_seconds: float = 1.0
    """Seconds before the first retry; doubled each time, up to 30."""

    max_download_bytes: int = 100 * 10**9
    """Largest archive taken, in bytes."""

    refresh: bool = False
    """Download again what is in the cache: for a Google Drive file, or a server without ETag and Last-Modified,
    whose content was replaced under the same link."""

    def __post_init__(self) -> None:
        if self.timeout_seconds <= 0:
            raise ValueError(f"timeout_seconds must be positive, not {self.timeout_seconds}")
        if self.retries < 0:
            raise ValueError(f"retries must not be negative, not {self.retries}")
        if self.retry_wait_seconds < 0:
            raise ValueError(f"retry_wait_seconds must not be negative, not {self.retry_wait_seconds}")
        if self.max_download_bytes <= 0:
            raise ValueError(f"max_download_bytes must be positive, not {self.max_download_bytes}")


@dataclass(frozen=True)
class Fetched:
    """An archive on the local disk."""

    source: str
    """As the user named it, secrets masked."""

    path: Path
    """The zip: in the cache, or the user's own file, which must not be changed."""

    sha256: str
    """Hex digest of its bytes: the data version."""

    bytes: int
    """Its size."""

    reused: bool
    """True if nothing was downloaded and nothing hashed again."""

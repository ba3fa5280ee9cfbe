"""What fetching an archive gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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

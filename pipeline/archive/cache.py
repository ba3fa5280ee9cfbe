"""Downloads that are kept: contents by their hash, and for each source which content it had.

    <cache>/contents/<sha256>.zip    whole archives, never changed
    <cache>/index/<key>.json         what a source held when last fetched
    <cache>/partial/<key>/           a download that is not finished
    <cache>/locks/<key>.lock         one download of a source at a time

Contents and index entries appear by renaming, so a killed process leaves nothing half-written under these names.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.locks import held
from pipeline.progress import Report
from speech.archives.errors import shown
from speech.files import digest_of, read_json, sha256_file, sync_folder, write_json


@dataclass(frozen=True)
class Validators:
    """What a server gives to recognise a version of a file by; both may be missing."""

    etag: str | None = None
    last_modified: str | None = None

    def __bool__(self) -> bool:
        return self.etag is not None or self.last_modified is not None


@dataclass(frozen=True)
class Entry:
    """What a source held when last fetched."""

    source: str
    sha256: str
    bytes: int
    etag: str | None = None
    last_modified: str | None = None
    path: str | None = None
    """For a local file: where it is, and the three facts that change when it does."""
    mtime_ns: int | None = None
    inode: int | None = None

    @property
    def validators(self) -> Validators:
        return Validators(self.etag, self.last_modified)


class Cache:
    """The folder in which downloads are kept."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def content(self, sha256: str) -> Path:
        """Where the archive with this hash is, or would be."""
        return self._root / "contents" / f"{sha256}.zip"

    def partial(self, key: str) -> Path:
        """The folder for the unfinished download of a source; created."""
        folder = self._root / "partial" / digest_of(key)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def entry(self, key: str) -> Entry | None:
        """What is known of a source, or None; an unreadable index entry counts as none, since it can be made again."""
        try:
            return Entry(**read_json(self._index(key)))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError, TypeError):
            return None

    def downloaded(self, key: str) -> Entry | None:
        """What is known of a source, if its content is still here and of the right size."""
        entry = self.entry(key)
        if entry is None:
            return None
        content = self.content(entry.sha256)
        return entry if content.is_file() and content.stat().st_size == entry.bytes else None

    def remember(self, key: str, entry: Entry) -> Entry:
        """Note what a source holds."""
        write_json(self._index(key), asdict(entry))
        return entry

    def keep(self, key: str, source: str, file: Path, validators: Validators) -> Entry:
        """Move a whole download into the cache, note it for its source, and drop the folder it was made in."""
        sha256 = sha256_file(file)
        size = file.stat().st_size
        content = self.content(sha256)
        content.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(file, content)
        sync_folder(content.parent)
        entry = self.remember(
            key, Entry(shown(source), sha256, size, etag=validators.etag, last_modified=validators.last_modified)
        )
        self.drop_partial(key)
        return entry

    def drop_partial(self, key: str) -> None:
        """Forget the unfinished download of a source."""
        shutil.rmtree(self._root / "partial" / digest_of(key), ignore_errors=True)

    @contextmanager
    def lock(self, key: str, source: str, progress: Report) -> Iterator[None]:
        """Within the block no other process downloads this source; waits for one that does."""
        path = self._root / "locks" / f"{digest_of(key)}.lock"
        with held(path, f"{shown(source)}: another run is downloading it, waiting for that", progress):
            yield

    def _index(self, key: str) -> Path:
        return self._root / "index" / f"{digest_of(key)}.json"

"""One way to fetch an archive, whatever it comes from."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.archive.cache import Cache
from pipeline.archive.downloads import fetch_http
from pipeline.archive.drive import fetch_drive
from pipeline.archive.drive_links import is_drive_link
from pipeline.archive.fetched import Fetched
from pipeline.archive.hub_names import refuse_dataset, remedy_for_name
from pipeline.archive.local import fetch_local
from pipeline.archive.settings import ArchiveSettings
from pipeline.progress import Report
from speech.archives.errors import DiskFull, ForbiddenSource, SourceNotFound, is_disk_full

__all__ = ["ArchiveSettings", "Fetched", "fetch"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


def fetch(source: str, cache: Path, settings: ArchiveSettings, progress: Report) -> Fetched:
    """The archive that `source` names, on the local disk.

    `source` is a Google Drive share link, an http(s) link, a file: URL, or a path below `settings.allowed_roots`.
    Downloads are kept in `cache`, by source and by content; the folder is made if need be and must outlive the
    stage's own temporary folder. What is there already is not downloaded again; what was begun is continued.
    A local archive is not copied: the returned path is the user's file.

    Raises:
        ArchiveError: its sub-class tells the mistake, its message names the source and the remedy.
    """
    source = source.strip()
    kept = Cache(cache)
    try:
        if not source:
            raise SourceNotFound("(empty)", "no source is given", "Give a link or a path to a .zip")
        if is_drive_link(source):
            return fetch_drive(source, kept, settings, progress)
        refuse_dataset(source)
        scheme = _SCHEME.match(source)
        if scheme is None or scheme.group(1).lower() == "file":
            return _fetch_local(source, kept, settings, progress)
        if scheme.group(1).lower() in ("http", "https"):
            return fetch_http(source, kept, settings, progress)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull.of(source, cache) from error
        raise
    raise ForbiddenSource(
        source,
        f"links with {scheme.group(1)}: are not taken",
        "Give a Google Drive link, an http(s) link or a path on this machine",
    )


def _fetch_local(source: str, cache: Cache, settings: ArchiveSettings, progress: Report) -> Fetched:
    try:
        return fetch_local(source, cache, settings, progress)
    except (ForbiddenSource, SourceNotFound) as error:
        remedy = remedy_for_name(source)
        if not remedy:
            raise
        raise type(error)(source, error.problem, f"{error.remedy}. {remedy}") from error

"""Archives from http(s) servers, continued where they broke off.

A server that gives an ETag or Last-Modified is asked whether the file has changed before anything is downloaded
again. One that gives neither cannot say, so what was downloaded once is used again unless `refresh` is set.
"""

from __future__ import annotations

import time

from pipeline.archive.addresses import fence, open_session
from pipeline.archive.cache import Cache, Entry
from pipeline.archive.fetched import Fetched
from pipeline.archive.partial import Partial
from pipeline.archive.settings import ArchiveSettings
from pipeline.archive.transfer import BrokenOff, attempt
from pipeline.progress import Report
from speech.archives.errors import (
    ArchiveError,
    SourceUnavailable,
    megabytes,
    shown,
)
from speech.archives.signatures import check_zip

FIRST_WAIT_SECONDS = 1.0
"""Before the second attempt; doubled each time."""

LONGEST_WAIT_SECONDS = 30.0
"""Between two attempts; also where the server asks for more by Retry-After."""


def fetch_http(source: str, cache: Cache, settings: ArchiveSettings, progress: Report) -> Fetched:
    """The archive behind an http(s) link, downloaded unless the cache holds the version that the server has."""
    key = source.partition("#")[0]
    with cache.lock(key, source, progress), fence(source, settings.allow_private_network):
        known = None if settings.refresh else cache.downloaded(key)
        if known and not known.validators:
            progress(f"{shown(source)}: downloaded before, and the server does not tell versions: used again")
            return _fetched(cache, known, reused=True)
        partial = Partial(cache.partial(key))
        try:
            changed = _download(source, partial, known, settings, progress)
        except SourceUnavailable as error:
            if known is None:
                raise
            progress(f"{shown(source)}: {error.problem}; using what was downloaded before")
            return _fetched(cache, known, reused=True)
        if known and not changed:
            progress(f"{shown(source)}: unchanged on the server")
            cache.drop_partial(key)
            return _fetched(cache, known, reused=True)
        try:
            check_zip(source, partial.path)
        except ArchiveError:
            partial.discard()
            raise
        return _fetched(cache, cache.keep(key, source, partial.path, partial.validators), reused=False)


def _fetched(cache: Cache, entry: Entry, reused: bool) -> Fetched:
    return Fetched(entry.source, cache.content(entry.sha256), entry.sha256, entry.bytes, reused)


def _download(source: str, partial: Partial, known: Entry | None, settings: ArchiveSettings, progress: Report) -> bool:
    """Fill `partial`, attempt after attempt; False if the server still has the version in `known`."""
    furthest, stuck = partial.size, 0
    if partial.complete:
        return True
    with open_session(source, settings.allow_private_network) as session:
        while True:
            try:
                return attempt(session, source, partial, known, settings, progress)
            except BrokenOff as broken:
                stuck = 1 if partial.size > furthest else stuck + 1
                furthest = max(furthest, partial.size)
                if stuck > settings.retries:
                    raise SourceUnavailable(
                        source,
                        f"{broken}, {stuck} times in a row",
                        "Check the link and the network, then launch again: the download continues where it broke off",
                    ) from broken
                wait = max(broken.wait_seconds, FIRST_WAIT_SECONDS * 2 ** min(stuck, 10))
                wait = min(wait, LONGEST_WAIT_SECONDS)
                progress(f"{shown(source)}: {broken}; trying again in {wait:.0f} s, {megabytes(partial.size)} are here")
                time.sleep(wait)

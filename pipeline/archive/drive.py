"""Archives from Google Drive, through gdown.

Drive tells nothing about a file's version without downloading it, so what was downloaded once for a file id is used
again unless `refresh` is set.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import gdown
import requests
from gdown.exceptions import DownloadCancelled, DownloadError, FileURLRetrievalError

from pipeline.archive.addresses import fence, open_session
from pipeline.archive.cache import Cache, Validators
from pipeline.archive.drive_links import DriveFile, Page, explain_page, parse_drive_link
from pipeline.archive.fetched import Fetched
from pipeline.archive.meter import Meter
from pipeline.archive.settings import ArchiveSettings
from pipeline.progress import Report
from speech.archives.errors import (
    ArchiveError,
    DiskFull,
    QuotaExceeded,
    SourceUnavailable,
    TooLarge,
    is_disk_full,
    megabytes,
    shown,
)
from speech.archives.signatures import HEAD_BYTES, check_zip, is_page
from speech.process.background import NAME

_PAGE_BYTES = 1 << 18
"""Drive's pages are a few kilobytes; a file's first 256 KB are not read as text."""

_OUTPUT = "download"
_RANGE_REFUSED = "byte range"
"""In gdown's message when the server does not continue where the part ends; gdown has no class of its own for it."""


def fetch_drive(source: str, cache: Cache, settings: ArchiveSettings, progress: Report) -> Fetched:
    """The file behind a Google Drive link."""
    file = parse_drive_link(source)
    key = f"drive:{file.id}"
    with cache.lock(key, source, progress), fence(source, settings.allow_private_network):
        known = None if settings.refresh else cache.downloaded(key)
        if known:
            progress(f"{shown(source)}: downloaded before, used again (set refresh if the file was replaced)")
            return Fetched(shown(source), cache.content(known.sha256), known.sha256, known.bytes, reused=True)
        if settings.refresh:
            cache.drop_partial(key)
        try:
            path = _download(source, file, cache.partial(key), settings, progress)
        except TooLarge:
            cache.drop_partial(key)
            raise
        try:
            _check_content(source, file, path)
        except ArchiveError:
            cache.drop_partial(key)
            raise
        entry = cache.keep(key, source, path, Validators())
        return Fetched(entry.source, cache.content(entry.sha256), entry.sha256, entry.bytes, reused=False)


def _download(source: str, file: DriveFile, folder: Path, settings: ArchiveSettings, progress: Report) -> Path:
    """gdown into `folder`; once more from the start if what was left of an earlier attempt cannot be continued."""
    continued = any(folder.iterdir())
    try:
        return _gdown(source, file, folder, settings, progress)
    except FileURLRetrievalError as error:
        raise _ask_why(source, file, settings, error) from error
    except DownloadError as error:
        if not continued or _RANGE_REFUSED not in str(error):
            raise _unavailable(source, error) from error
        progress(f"{shown(source)}: the earlier part cannot be continued, starting over")
    shutil.rmtree(folder)
    folder.mkdir()
    try:
        return _gdown(source, file, folder, settings, progress)
    except FileURLRetrievalError as error:
        raise _ask_why(source, file, settings, error) from error
    except DownloadError as error:
        raise _unavailable(source, error) from error


def _gdown(source: str, file: DriveFile, folder: Path, settings: ArchiveSettings, progress: Report) -> Path:
    here = sum(part.stat().st_size for part in folder.iterdir())
    meter = Meter(shown(source), None, progress, done=here)

    def reached(done: int, total: int | None) -> None:
        if max(done, total or 0) > settings.max_download_bytes:
            raise TooLarge(
                source,
                f"the archive of {megabytes(total or done)} is larger than the "
                f"{megabytes(settings.max_download_bytes)} allowed",
                "Split the archive, or raise max_download_gib",
            )
        free = shutil.disk_usage(folder).free
        if total is not None and total - done > free:
            raise DiskFull.of(source, folder, total - done, free)
        patience.cancel()
        meter.reached(done, total)

    # gdown follows Drive's confirmation pages for ever if none leads to the file. Twice the time that honest retries
    # may take is left for the first bytes.
    seconds_for_pages = 2 * settings.timeout_seconds * (settings.retries + 1)
    cancel = threading.Event()
    patience = threading.Timer(seconds_for_pages, cancel.set)
    patience.name, patience.daemon = f"{NAME}-patience", True
    patience.start()
    try:
        gdown.download(
            url=file.link,
            output=str(folder / _OUTPUT),
            quiet=True,
            # Cookies would be kept in the home folder and could open what the user has not shared.
            use_cookies=False,
            resume=True,
            timeout=settings.timeout_seconds,
            retries=settings.retries,
            progress=reached,
            cancel=cancel,
        )
    except DownloadCancelled as error:
        raise SourceUnavailable(
            source,
            f"Google Drive sent nothing of the file within {seconds_for_pages:.0f} s",
            "Open the link in a private browser window: a download of a .zip should be offered",
        ) from error
    except requests.exceptions.HTTPError as error:
        answer = error.response
        raise explain_page(source, Page(answer.status_code, str(answer.url), "")) from error
    except requests.exceptions.RequestException as error:
        raise _unavailable(source, error) from error
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull.of(source, folder) from error
        raise
    finally:
        patience.cancel()
        patience.join()
    meter.finish()
    return folder / _OUTPUT


def _unavailable(source: str, error: Exception) -> SourceUnavailable:
    return SourceUnavailable(
        source,
        f"the download from Google Drive failed ({' '.join(str(error).split())})",
        "Check the network, then launch again: the download continues where it broke off",
    )


def _ask_why(source: str, file: DriveFile, settings: ArchiveSettings, error: FileURLRetrievalError) -> ArchiveError:
    """Why Drive gave no file. gdown keeps one sentence of the page at most, so the page is asked for once more."""
    told = explain_page(source, Page(requests.codes.ok, file.plain_link, str(error)))
    if isinstance(told, QuotaExceeded):
        return told
    try:
        with (
            open_session(source, settings.allow_private_network) as session,
            session.get(file.plain_link, stream=True, timeout=settings.timeout_seconds) as response,
        ):
            if "Content-Disposition" in response.headers:
                return SourceUnavailable(source, "Google Drive gave the file on the second try only", "Launch again")
            beginning = response.raw.read(_PAGE_BYTES, decode_content=True)
            return explain_page(source, Page(response.status_code, response.url, beginning.decode("utf-8", "replace")))
    except requests.exceptions.RequestException as failure:
        return _unavailable(source, failure)


def _check_content(source: str, file: DriveFile, path: Path) -> None:
    with path.open("rb") as content:
        head = content.read(HEAD_BYTES)
    if is_page(head):
        text = path.read_bytes()[:_PAGE_BYTES].decode("utf-8", "replace")
        raise explain_page(source, Page(requests.codes.ok, file.plain_link, text))
    check_zip(source, path)

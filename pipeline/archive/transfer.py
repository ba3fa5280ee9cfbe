"""One request for a file over http(s): asks for the rest of what is here, checks the answer, receives the bytes."""

from __future__ import annotations

import re
import shutil
from typing import BinaryIO

import requests

from pipeline.archive.cache import Entry, Validators
from pipeline.archive.meter import Meter
from pipeline.archive.partial import Partial
from pipeline.archive.settings import ArchiveSettings
from pipeline.progress import Report
from speech.archives.errors import (
    ArchiveError,
    DiskFull,
    ForbiddenSource,
    NoPermission,
    SourceNotFound,
    SourceUnavailable,
    TooLarge,
    is_disk_full,
    megabytes,
    shown,
)
from speech.archives.signatures import HEAD_BYTES, check_head

_BLOCK = 1 << 15
"""Bytes read at once. When a connection breaks, what was read of the current block is lost."""

_NETWORK_ERRORS = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class BrokenOff(Exception):
    """An attempt failed in a way that another one may not."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def attempt(
    session: requests.Session,
    source: str,
    partial: Partial,
    known: Entry | None,
    settings: ArchiveSettings,
    progress: Report,
) -> bool:
    """Receive into `partial`; False, receiving nothing, if the server still has the version in `known`.

    Raises:
        BrokenOff: the answer did not come, or not to its end.
        ArchiveError: the answer is one that trying again does not change.
    """
    headers = _request_headers(partial, known)
    try:
        with session.get(
            source, headers=headers, stream=True, timeout=(settings.timeout_seconds, settings.timeout_seconds)
        ) as response:
            if response.status_code == requests.codes.not_modified and known is not None:
                return False
            _check_status(source, response, partial)
            if known is not None and _is_known(response, known):
                return False
            _place(response, partial)
            _receive(source, response, partial, settings, progress)
            return True
    except requests.exceptions.SSLError as error:
        raise SourceUnavailable(
            source,
            f"no safe connection ({_innermost(error)})",
            "Check the server's certificate and this machine's clock",
        ) from error
    except _NETWORK_ERRORS as error:
        raise BrokenOff(_reason(error)) from error
    except requests.exceptions.InvalidSchema as error:
        raise ForbiddenSource(source, "it redirects to something else than http(s)", "Give the direct link") from error
    except requests.exceptions.TooManyRedirects as error:
        raise SourceNotFound(source, "it redirects in circles", "Give the direct link") from error
    except requests.exceptions.RequestException as error:
        raise SourceNotFound(source, "the link cannot be followed", "Check it for typing errors") from error


def _request_headers(partial: Partial, known: Entry | None) -> dict[str, str]:
    """Ask for the rest of what is here, or for another version than the known one."""
    if partial.resumable:
        return {"Range": f"bytes={partial.size}-", "If-Range": str(partial.if_range)}
    headers = {}
    if known and known.etag:
        headers["If-None-Match"] = known.etag
    if known and known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    return headers


def _is_known(response: requests.Response, known: Entry) -> bool:
    """Whether a server that ignores If-None-Match and If-Modified-Since sends what is here already."""
    if response.status_code != requests.codes.ok:
        return False
    if known.etag is not None:
        return response.headers.get("ETag") == known.etag
    same_time = known.last_modified is not None and response.headers.get("Last-Modified") == known.last_modified
    return same_time and response.headers.get("Content-Length") == str(known.bytes)


def _check_status(source: str, response: requests.Response, partial: Partial) -> None:
    status = response.status_code
    if status in (requests.codes.ok, requests.codes.partial_content):
        return
    answer = f"the server answered {status} {response.reason or ''}".rstrip()
    if status == requests.codes.requested_range_not_satisfiable:
        partial.discard()
        raise BrokenOff("the server has no bytes beyond those that are here")
    if status in (requests.codes.unauthorized, requests.codes.forbidden, requests.codes.proxy_authentication_required):
        raise NoPermission(source, answer, "Share the file so that the link opens without signing in")
    if status == requests.codes.too_many_requests or status >= requests.codes.internal_server_error:
        asked = response.headers.get("Retry-After", "")
        raise BrokenOff(answer, float(asked) if asked.isdigit() else 0.0)
    raise SourceNotFound(
        source, answer, "Check the link: open it in a private browser window, a .zip should be offered"
    )


def _place(response: requests.Response, partial: Partial) -> None:
    """Make `partial` ready for the body: continued if it is the rest of the same version, else from the start."""
    # A body that was packed for the way has another length than the file and no place in it to go on from.
    plain = response.headers.get("Content-Encoding", "identity").lower() in ("", "identity")
    validators = Validators(response.headers.get("ETag"), response.headers.get("Last-Modified"))
    if response.status_code == requests.codes.partial_content:
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
        same = validators.etag is None or validators.etag == partial.validators.etag
        if not plain or span is None or int(span[1]) != partial.size or not same:
            partial.discard()
            raise BrokenOff("the server sent another part than was asked for")
        partial.total = int(span[3]) if span[3] != "*" else int(span[2]) + 1
        return
    length = response.headers.get("Content-Length", "")
    total = int(length) if plain and length.isdigit() else None
    partial.begin(validators if plain else Validators(), total)


def _receive(
    source: str, response: requests.Response, partial: Partial, settings: ArchiveSettings, progress: Report
) -> None:
    total, done = partial.total, partial.size
    _check_room(source, partial, settings)
    meter = Meter(shown(source), total, progress, done=done)
    try:
        with partial.path.open("ab") as file:
            for block in response.iter_content(_BLOCK):
                done += len(block)
                if done > settings.max_download_bytes:
                    raise _too_large(source, settings)
                file.write(block)
                _check_beginning(source, partial, file, done, len(block))
                meter.reached(done)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull.of(source, partial.path.parent, total) from error
        raise
    except ArchiveError:
        partial.discard()
        raise
    if total is not None and done != total:
        if done > total:
            partial.discard()
        raise BrokenOff(f"the connection ended after {done} of {total} bytes")
    meter.finish()


def _check_beginning(source: str, partial: Partial, file: BinaryIO, done: int, added: int) -> None:
    """Look at the first bytes as soon as enough are there: nobody waits hours for a web page."""
    if done - added < HEAD_BYTES <= done:
        file.flush()
        with partial.path.open("rb") as beginning:
            check_head(source, beginning.read(HEAD_BYTES))


def _check_room(source: str, partial: Partial, settings: ArchiveSettings) -> None:
    if partial.total is None:
        return
    if partial.total > settings.max_download_bytes:
        partial.discard()
        raise _too_large(source, settings, partial.total)
    free = shutil.disk_usage(partial.path.parent).free
    if partial.total - partial.size > free:
        raise DiskFull.of(source, partial.path.parent, partial.total - partial.size, free)


def _too_large(source: str, settings: ArchiveSettings, total: int | None = None) -> TooLarge:
    size = "it" if total is None else f"the archive of {megabytes(total)}"
    return TooLarge(
        source,
        f"{size} is larger than the {megabytes(settings.max_download_bytes)} allowed",
        "Split the archive, or raise max_download_gib",
    )


def _reason(error: requests.exceptions.RequestException) -> str:
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error):
        return "the server fell silent"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy refused ({_innermost(error)})"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return f"no connection ({_innermost(error)})"


def _innermost(error: BaseException) -> str:
    """What the system said. The outer errors repeat the URL, and with it the secrets in its query."""
    while error.__context__ is not None:
        error = error.__context__
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__

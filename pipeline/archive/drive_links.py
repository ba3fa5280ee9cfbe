"""Google Drive share links in all their forms, and what Drive's pages say when it does not give the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

from speech.archives.errors import (
    ArchiveError,
    NoPermission,
    NotAnArchive,
    QuotaExceeded,
    SourceNotFound,
    SourceUnavailable,
    UnsupportedLink,
)
from speech.archives.signatures import page_title

_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
# /file/d/ID/view, /file/u/0/d/ID, /u/0/file/d/ID, /a/school.ru/file/d/ID/edit
_FILE_PATH = re.compile(r"/file(?:/u/\d+)?/d/([-\w]+)")
_FOLDER_PATH = re.compile(r"/folders/|folderview")
_DOCUMENT_PATH = re.compile(r"/(document|spreadsheets|presentation|forms|drawings)/")
# Drive ids have had 28, 33 and 44 characters; ten are enough to tell an id from a word.
_ID = re.compile(r"[-\w]{10,}")

_SHARE = "In Drive choose Share → General access → Anyone with the link, then launch again"
_WAIT = (
    "Make a copy of the file in your own Drive and share that, or wait 24 hours; "
    "a path on this machine or another http(s) link does as well"
)


@dataclass(frozen=True)
class DriveFile:
    """One file on Google Drive."""

    id: str
    resource_key: str | None = None
    """A second half of the id that older link-shared files need since 2021."""

    @property
    def link(self) -> str:
        """The download link, in the form that gdown takes.

        gdown keeps the id alone and drops every other field, the resource key too. It takes the id out of the
        query decoded and puts it back as it is, so a key that is encoded into the id arrives as a field of its own.
        """
        fields = self.id if self.resource_key is None else f"{self.id}&resourcekey={self.resource_key}"
        return f"https://drive.google.com/uc?id={quote(fields, safe='')}"

    @property
    def plain_link(self) -> str:
        """The same as an ordinary link, to ask for its page."""
        key = "" if self.resource_key is None else f"&resourcekey={self.resource_key}"
        return f"https://drive.google.com/uc?id={self.id}{key}&export=download"


def is_drive_link(source: str) -> bool:
    """Whether `source` leads to Google Drive; with or without http(s)://."""
    return _host(source) in _HOSTS


def _host(source: str) -> str:
    url = source if "://" in source else f"https://{source}"
    if not url.lower().startswith(("http://", "https://")):
        return ""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def parse_drive_link(source: str) -> DriveFile:
    """The file that a Drive link of any form names.

    Raises:
        UnsupportedLink: it names a folder, a Google document, or no file at all.
    """
    parts = urlsplit(source if "://" in source else f"https://{source}")
    fields = parse_qs(parts.query)
    if _FOLDER_PATH.search(parts.path):
        raise UnsupportedLink(
            source,
            "this Drive link leads to a folder",
            "Pack it into one .zip, upload that and give the link of the file",
        )
    if _DOCUMENT_PATH.search(parts.path):
        raise UnsupportedLink(source, "this link leads to a Google document", "Give the link of the uploaded .zip file")
    in_path = _FILE_PATH.search(parts.path)
    found = in_path.group(1) if in_path else fields.get("id", [""])[0]
    if not _ID.fullmatch(found):
        raise UnsupportedLink(
            source,
            "no file id in this Drive link",
            "Give the link that Share → Copy link gives, such as https://drive.google.com/file/d/…/view",
        )
    key = fields.get("resourcekey", [""])[0]
    return DriveFile(found, key if re.fullmatch(r"[-\w]+", key) else None)


@dataclass(frozen=True)
class Page:
    """An answer that is no file: its HTTP status, its address after redirects, its text."""

    status: int
    url: str
    text: str


# Drive writes its pages in the language of the network it is asked from, so Russian ones count too.
_QUOTA = re.compile(
    r"quota exceeded|too many users have viewed|download quota|exceeded the sharing quota|"
    r"квот[аы]|слишком много пользователей",
    re.IGNORECASE,
)
_ROBOT = re.compile(r"automated queries|unusual traffic|автоматическ\w+ запрос|подозрительный трафик", re.IGNORECASE)
_INFECTED = re.compile(r"infected|заражен", re.IGNORECASE)
_PERMISSION = re.compile(
    r"you need (?:access|permission)|request access|servicelogin|sign in|access denied|"
    r"нужен доступ|запросить (?:доступ|разрешение)|требуется разрешение|войдите в аккаунт|нет доступа",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"does not exist|not found|has been deleted|in the trash|не существует|не найден|удал[её]н", re.IGNORECASE
)
_NOT_FOUND = (404, 410)
_NO_PERMISSION = (401, 403)
_TOO_MANY = 429
_SERVER_ERROR = 500


def explain_page(source: str, page: Page) -> ArchiveError:
    """The mistake that a page of Drive's stands for. Quota is looked for first: its page comes with 200, 403 or 404."""
    host = urlsplit(page.url).hostname or ""
    text = " ".join(page.text.split())
    if _QUOTA.search(text):
        return QuotaExceeded(source, "Google Drive's download quota for this file is used up", _WAIT)
    if page.status == _TOO_MANY or "/sorry/" in page.url or _ROBOT.search(text):
        return QuotaExceeded(source, "Google Drive refuses this network for too many requests", _WAIT)
    if _INFECTED.search(text):
        return NoPermission(
            source,
            "Google Drive takes the file for infected and gives it to its owner only",
            "Check what is in it and pack it anew; a path on this machine or another http(s) link does as well",
        )
    if page.status >= _SERVER_ERROR:
        return SourceUnavailable(source, f"Google Drive answered {page.status}", "Launch again later")
    if page.status in _NOT_FOUND:
        return _missing(source)
    if host == "accounts.google.com" or page.status in _NO_PERMISSION or _PERMISSION.search(text):
        return NoPermission(source, "the file is not shared: Google Drive asks to sign in", _SHARE)
    if _MISSING.search(text):
        return _missing(source)
    return NotAnArchive(
        source,
        f"Google Drive sent a page instead of the file (status {page.status}, “{page_title(page.text)}”)",
        "Open the link in a private browser window: a download of a .zip should be offered",
    )


def _missing(source: str) -> SourceNotFound:
    return SourceNotFound(
        source, "there is no such file on Google Drive", "Check the link: the file may have been deleted or replaced"
    )

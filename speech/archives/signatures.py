"""What a downloaded file is, told by its first bytes, and whether a zip is there to its end."""

from __future__ import annotations

import html
import re
import tarfile
from pathlib import Path

from speech.archives.errors import NoPermission, NotAnArchive, Truncated

HEAD_BYTES = 4096
"""How much of a file's start is enough to tell what it is and to read a page's title."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_SPLIT_ZIP = b"PK\x07\x08"
_END_RECORD = b"PK\x05\x06"
# The end record is 22 bytes, followed by a comment of at most 65,535 (APPNOTE.TXT, 4.3.16).
_LONGEST_END = 22 + 65535
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|script|meta|!--)", re.IGNORECASE)
_ARCHIVES = (
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"\x04\x22\x4d\x18", "an LZ4 file"),
    (b"LZIP\x01", "an lzip file"),
    (b"\x1f\x9d", "a file of Unix' compress"),
    (b"MSCF\0\0\0\0", "a Windows cabinet"),
    (b"xar!", "a xar archive"),
    (b"!<arch>\n", "an ar archive"),
    (_SPLIT_ZIP, "one volume of a split zip"),
)
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"ID3", "an mp3 recording"),
    (b"RIFF", "a wav recording"),
)


def is_zip_head(head: bytes) -> bool:
    """Whether a file that begins with `head` begins as a zip does."""
    return head.startswith(_ZIP)


def other_archive(head: bytes) -> str | None:
    """What archive or packed file begins with `head`, other than a zip; None where it is none."""
    kind = next((name for magic, name in _ARCHIVES if head.startswith(magic)), None)
    return kind or ("a tar archive" if _begins_tar(head) else None)


def _begins_tar(head: bytes) -> bool:
    """Whether `head` begins with a tar header, of whatever age: its checksum is right."""
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def is_page(head: bytes) -> bool:
    """Whether `head` begins a web page."""
    return _PAGE.match(head) is not None


def page_title(text: str) -> str:
    """The title of a web page, or its first words."""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    found = title.group(1) if title else re.sub(r"<[^>]*>", " ", text)
    return " ".join(html.unescape(found).split())[:80]


def check_head(source: str, head: bytes) -> None:
    """Raise NotAnArchive, saying what it is instead, unless a file that begins with `head` is a zip."""
    if is_zip_head(head):
        return
    if not head:
        raise NotAnArchive(source, "the file is empty", "Upload the archive again and check its size")
    if is_page(head):
        title = page_title(head.decode("utf-8", "replace"))
        raise NotAnArchive(
            source,
            f"a web page came instead of a zip archive (“{title}”)",
            "Give the direct download link of the .zip, one that works without signing in",
        )
    kind = other_archive(head) or next((name for magic, name in _OTHERS if head.startswith(magic)), None)
    what = f"this is {kind}" if kind else f"this is no zip archive (it begins with {head[:4].hex(' ')})"
    raise NotAnArchive(source, what, "Pack data_train.csv and data_mp3 into one .zip and give that")


def check_zip(source: str, path: Path) -> None:
    """Raise unless `path` begins as a zip and holds a zip's end record.

    Raises:
        NotAnArchive: it is something else.
        Truncated: it begins as a zip and breaks off.
        NoPermission: this process may not read it.
    """
    try:
        with path.open("rb") as file:
            check_head(source, file.read(HEAD_BYTES))
            size = file.seek(0, 2)
            file.seek(max(0, size - _LONGEST_END))
            tail = file.read()
    except PermissionError as error:
        raise NoPermission(source, "the file may not be read", "Give this user the right to read it") from error
    if _END_RECORD not in tail:
        raise Truncated(
            source,
            f"the zip breaks off after {size} bytes: its table of contents is missing",
            "The upload or copy stopped half-way: upload the archive again, whole, and launch again",
        )

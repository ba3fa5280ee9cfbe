"""Names inside a zip: decoded as their packer meant them, made safe, and told apart from what systems leave behind."""

from __future__ import annotations

import re
import struct
import unicodedata
import zipfile
import zlib

from speech.archives.code_pages import code_page
from speech.archives.errors import ImpossibleName, UnsafeArchive

_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075

LONGEST_NAME_BYTES = 255
"""What common file systems take for one name."""
LONGEST_PATH_BYTES = 1024
"""Far below the 4096 of Linux, so that the stage's own folder fits before it."""

_RENAME = "Rename it and pack the archive again"
_REPACK = "Pack the archive again with an ordinary zip program, and do not use archives of unknown origin"


def decoded_names(entries: list[zipfile.ZipInfo]) -> list[str]:
    """The entries' names, in order, in Unicode composed form (NFC).

    Names with the UTF-8 flag or a Unicode path field (0x7075) are what these say. Others are UTF-8 if they can be
    (macOS does not set the flag); else they are in the DOS code page of Russian Windows (cp866), in cp1251 or koi8-r,
    whichever reads as Russian. Decided for the archive as a whole, since one packer wrote it.
    """
    plain = [_raw_name(entry) for entry in entries if not entry.flag_bits & _UTF8_FLAG]
    encoding = code_page(raw for raw in plain if not is_utf8(raw))
    names = []
    for entry in entries:
        if entry.flag_bits & _UTF8_FLAG:
            name = entry.orig_filename
        else:
            bytes_of_name = _raw_name(entry)
            name = _unicode_path(entry, bytes_of_name) or _decode(bytes_of_name, encoding)
        names.append(unicodedata.normalize("NFC", name))
    return names


def _raw_name(entry: zipfile.ZipInfo) -> bytes:
    # zipfile decodes names without the flag as cp437, which gives every byte a character of its own.
    return entry.orig_filename.encode("cp437")


def _decode(raw: bytes, fallback: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(fallback, "replace")


def is_utf8(raw: bytes) -> bool:
    """Whether the bytes of a name can be UTF-8."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unicode_path(entry: zipfile.ZipInfo, raw: bytes) -> str | None:
    """The name in the Info-ZIP Unicode path field, if there is one and it belongs to this name."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and len(field) > 5:
            version, checksum = struct.unpack_from("<BL", field)
            if version == 1 and checksum == zlib.crc32(raw):
                return field[5:].decode("utf-8", "replace")
    return None


def safe_parts(source: str, name: str) -> tuple[str, ...]:
    """The folders and the file of an entry's name; backslashes, which some Windows packers write, divide as slashes do.

    Raises:
        UnsafeArchive: the name is absolute, climbs (`..`) or names a drive.
        ImpossibleName: it holds control characters, or is too long.
    """
    path = name.replace("\\", "/")
    if path.startswith("/"):
        raise UnsafeArchive(source, f"the entry {name!r} has an absolute path", _REPACK)
    if re.match(r"[A-Za-z]:", path):
        raise UnsafeArchive(source, f"the entry {name!r} names a drive", _REPACK)
    parts = loose_parts(name)
    if ".." in parts:
        raise UnsafeArchive(source, f"the entry {name!r} leads out of its folder", _REPACK)
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise ImpossibleName(source, f"the entry {name!r} has control characters in its name", _RENAME)
    longest = max((len(part.encode()) for part in parts), default=0)
    if longest > LONGEST_NAME_BYTES or len(path.encode()) > LONGEST_PATH_BYTES:
        raise ImpossibleName(source, f"the entry {name[:60]!r}… has a name too long for the disk", _RENAME)
    return parts


def loose_parts(name: str) -> tuple[str, ...]:
    """The folders and the file of an entry's name as it stands, `..` and all."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


# Of macOS, Windows, Synology's disk stations, Android and Linux.
_LEFT_BY_SYSTEMS = frozenset(
    {"__macosx", "desktop db", "desktop df", "network trash folder", "temporary items"}
    | {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "autorun.inf", "picasa.ini"}
    | {"$recycle.bin", "recycler", "system volume information"}
    | {"@eadir", "#recycle", "lost.dir", "lost+found"}
)
# A folder's picture on macOS, `Icon` and a carriage return, which other systems write in several ways; files that
# Office has open; Windows' mark of where a file came from, and its thumbnails, as streams of a file.
_LEFT_PATTERN = re.compile(r"icon(?:\r|\n|\uf00d|%0d|\^m)|~\$.*|.*[:\uf03a](?:zone\.identifier|encryptable)", re.DOTALL)
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".bz2", ".xz", ".tgz")


LEFT_BEHIND = "left by the operating system, or hidden"


def reason_to_ignore(parts: tuple[str, ...]) -> str | None:
    """Why an entry is no data whatever the layout, or None."""
    if any(_is_left_by_system(part.casefold()) for part in parts):
        return LEFT_BEHIND
    if parts and parts[-1].casefold().endswith(_ARCHIVES):
        return "an archive inside the archive is not opened"
    return None


def _is_left_by_system(part: str) -> bool:
    return part in _LEFT_BY_SYSTEMS or part.startswith(".") or _LEFT_PATTERN.fullmatch(part) is not None

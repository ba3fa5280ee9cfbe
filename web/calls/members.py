"""Recordings inside of a kept zip: found by name, read by number, never unpacked to a disk."""

from __future__ import annotations

import unicodedata
import zipfile
import zlib
from typing import BinaryIO

from web.files import FileError

_UTF8_FLAG = 0x800
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# How packers that say nothing of it write names; the service decides for one, so each is tried.
_ENCODINGS = ("utf-8", "cp866", "cp1251", "cp437")
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)


def numbers_of(archive: BinaryIO) -> dict[str, int]:
    """Each name that an entry may go by, to its number; a name that is two entries' is the first one's, as in the
    service. Raises `FileError`."""
    found: dict[str, int] = {}
    try:
        with zipfile.ZipFile(archive) as zipped:
            for number, entry in enumerate(zipped.infolist()):
                for name in _names(entry):
                    found.setdefault(name, number)
    except _FAULTS as error:
        raise FileError("file_damaged") from error
    return found


def read_member(archive: BinaryIO, number: int, most: int) -> bytes:
    """The bytes of the entry with this number. Raises `FileError` where there are more than `most`, whatever the zip
    announces, or where it is no entry that can be read."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            entry = zipped.infolist()[number]
            if entry.compress_type not in _METHODS:
                raise FileError("file_damaged")
            with zipped.open(entry) as packed:
                data = packed.read(most + 1)
    except (*_FAULTS, IndexError) as error:
        raise FileError("file_damaged") from error
    if len(data) > most:
        raise FileError("file_too_large_to_play", most)
    return data


def _names(entry: zipfile.ZipInfo) -> list[str]:
    if entry.flag_bits & _UTF8_FLAG:
        return [_plain(entry.filename)]
    raw = entry.orig_filename.encode("cp437", "replace")
    found = []
    for encoding in _ENCODINGS:
        try:
            found.append(_plain(raw.decode(encoding)))
        except UnicodeDecodeError:
            continue
    return found


def _plain(name: str) -> str:
    """As the service shows it: slashes, no empty parts, composed letters."""
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))

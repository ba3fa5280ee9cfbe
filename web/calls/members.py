"""Recordings inside of a kept zip: found by the name that the service gives them, never unpacked to a disk."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from speech.archives.errors import ArchiveError
from speech.archives.mended_zip import MendedZip
from speech.archives.names import decoded_names, safe_parts
from speech.archives.zip_index import check_entry, read_entry
from web.files import FileError

_FAULTS = (ArchiveError, zipfile.BadZipFile, struct.error, EOFError, NotImplementedError, UnicodeDecodeError)


def read_member(archive: Path, name: str, most: int) -> bytes:
    """The bytes of the first entry that goes by `name` in the service's answers.

    Raises `FileError` where there is none, where it cannot be read, or where there are more than `most` bytes of it,
    whatever the zip announces.
    """

    def spend(_: int, count: int) -> None:
        if count > most:
            raise FileError("file_too_large_to_play", most)

    try:
        with MendedZip(archive.name, archive) as zipped:
            entries = zipped.infolist()
            for entry, called in zip(entries, decoded_names(entries), strict=True):
                if _shown(called) == name:
                    check_entry(archive.name, entry, called)
                    return b"".join(read_entry(archive.name, zipped, entry, called, spend))
    except FileNotFoundError as error:
        raise FileError("file_not_found") from error
    except (*_FAULTS, OSError) as error:  # a place before the zip's beginning, as a damaged one names it, is an OSError
        raise FileError("file_damaged") from error
    raise FileError("file_not_found")


def _shown(name: str) -> str:
    """A name as the service shows it."""
    try:
        return "/".join(safe_parts("", name))
    except ArchiveError:
        return name

"""A zip's table of contents, read with suspicion: bounded, without overlaps, links, passwords or unknown methods."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from speech.archives.errors import (
    DamagedArchive,
    EncryptedArchive,
    UnsafeArchive,
    UnsupportedArchive,
)
from speech.archives.mended_zip import MendedZip
from speech.archives.names import decoded_names
from speech.archives.signatures import check_zip

_ENCRYPTED_FLAGS = 0x1 | 0x40 | 0x2000
_AES = 99
_METHODS = {8: "Deflate", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 97: "WavPack", 98: "PPMd"}
_TAKEN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""zipfile unpacks bzip2 and LZMA a whole block of input at a time, however much memory that takes."""

_END = struct.Struct("<4sHHHHLLH")
_END_SIGNATURE = b"PK\x05\x06"
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64_LOCATOR_SIGNATURE = b"PK\x06\x07"
_END64 = struct.Struct("<4sQHHLLQQQQ")
_LOCAL = struct.Struct("<4s22xHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_LONGEST_COMMENT = 65535
# Fixed part of an entry 46 bytes; name, extra fields and comment seldom reach 200 more.
_GENEROUS_ENTRY_BYTES = 1024
_LEAST_INDEX_BYTES = 1 << 20

DAMAGED = "Upload or copy the archive again; if it was downloaded, launch once with refresh to download it again"
_REPACK = "Pack the archive again with an ordinary zip program and the Deflate method (in 7-Zip: Method = Deflate)"


Named = tuple[zipfile.ZipInfo, str]
"""An entry and its decoded name."""


_BLOCK = 1 << 18


@contextmanager
def open_zip(
    source: str, archive: Path, max_files: int, whole: bool = True
) -> Iterator[tuple[zipfile.ZipFile, list[Named]]]:
    """The zip and its entries, each with its decoded name, after every check of the headers except those of the names.

    With `whole`, one entry that cannot be taken refuses the zip; else the caller calls `check_entry`.

    Raises:
        NotAnArchive, Truncated: it is no whole zip.
        DamagedArchive: its headers contradict each other.
        UnsafeArchive: more than `max_files` entries, entries that share bytes, links or devices.
        EncryptedArchive, UnsupportedArchive: as the names say.
    """
    check_zip(source, archive)
    with archive.open("rb") as file:
        _check_size_of_index(source, file, max_files)
    try:
        opened = MendedZip(source, archive)
    except (zipfile.BadZipFile, struct.error, UnicodeDecodeError, EOFError) as error:
        raise DamagedArchive(source, f"the zip's table of contents cannot be read ({error})", DAMAGED) from error
    except NotImplementedError as error:
        raise UnsupportedArchive(source, f"the zip needs a newer unpacker ({error})", _REPACK) from error
    with opened as zipped:
        entries = zipped.infolist()
        _check_count(source, len(entries), max_files)
        named = list(zip(entries, decoded_names(entries), strict=True))
        for entry, name in named if whole else ():
            check_entry(source, entry, name)
        _check_overlaps(source, zipped.bytes_of_zip, named, zipped.start_dir)
        yield zipped, named


def _check_count(source: str, count: int, max_files: int) -> None:
    if count > max_files:
        raise UnsafeArchive(
            source, f"{count} entries, more than the {max_files} allowed", "Split the archive, or raise max_files"
        )


def _check_size_of_index(source: str, file: BinaryIO, max_files: int) -> None:
    """Refuse a table of contents that would fill the memory, before zipfile reads it."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    base = file.tell()
    tail = file.read()
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        raise DamagedArchive(source, "the zip's end record is cut", DAMAGED)
    _, disk, first_disk, _, count, index_bytes, _, _ = _END.unpack_from(tail, at)
    if disk not in (0, 0xFFFF) or first_disk not in (0, 0xFFFF):
        raise UnsupportedArchive(source, "this is the last volume of a split zip", "Pack the data into one .zip")
    wide = _zip64_index(file, base + at)
    if wide is not None:
        count, index_bytes = wide
    _check_count(source, count, max_files)
    if index_bytes > max(max_files * _GENEROUS_ENTRY_BYTES, _LEAST_INDEX_BYTES):
        raise UnsafeArchive(source, f"a table of contents of {index_bytes} bytes", "Split the archive")


def _zip64_index(file: BinaryIO, end_at: int) -> tuple[int, int] | None:
    """Number of entries and bytes of the table of contents in the zip64 end record, if there is one."""
    at = end_at - _END64_LOCATOR.size
    if at < _END64.size:
        return None
    file.seek(at)
    signature, _, _, _ = _END64_LOCATOR.unpack(file.read(_END64_LOCATOR.size))
    if signature != _END64_LOCATOR_SIGNATURE:
        return None
    # zipfile takes the record right before its locator, not the one that the locator points to.
    file.seek(at - _END64.size)
    fields = _END64.unpack(file.read(_END64.size))
    return fields[7], fields[8]


def read_entry(
    source: str, zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, spend: Callable[[int, int], None]
) -> Iterator[bytes]:
    """The bytes of an entry, block by block; its size and checksum are checked at the end.

    `spend` is called for each block with the bytes of it and of all blocks so far.

    Raises:
        DamagedArchive: it is not what its headers say.
        Exception: whatever `spend` raises.
    """
    count = 0
    try:
        with zipped.open(entry) as packed:
            while block := packed.read(_BLOCK):
                count += len(block)
                spend(len(block), count)
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise DamagedArchive(source, f"{name!r} cannot be unpacked ({error or 'it breaks off'})", DAMAGED) from error
    if count != entry.file_size:
        raise DamagedArchive(source, f"{name!r} has {count} bytes and not the {entry.file_size} announced", DAMAGED)


def check_entry(source: str, entry: zipfile.ZipInfo, name: str) -> None:
    """Raises `EncryptedArchive`, `UnsupportedArchive`, or `UnsafeArchive` for a link or device."""
    if entry.flag_bits & _ENCRYPTED_FLAGS or entry.compress_type == _AES:
        raise EncryptedArchive(
            source, f"{name!r} is protected by a password", "Pack the archive again without a password"
        )
    if entry.compress_type not in _TAKEN:
        method = _METHODS.get(entry.compress_type, f"number {entry.compress_type}")
        raise UnsupportedArchive(source, f"{name!r} is packed with the method {method}", _REPACK)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a symbolic link" if kind == stat.S_IFLNK else "a device or pipe"
        raise UnsafeArchive(source, f"{name!r} is {what}", "Pack the files themselves")


def _check_overlaps(source: str, file: BinaryIO, entries: list[Named], index_at: int) -> None:
    """Refuse entries that share bytes, as in the densest zip bombs (Fifield 2019); no honest packer writes them."""
    ordered = sorted(entries, key=lambda named: named[0].header_offset)
    ends = [following.header_offset for following, _ in ordered[1:]] + [index_at]
    for (entry, name), end in zip(ordered, ends, strict=False):
        if entry.header_offset < 0:
            raise DamagedArchive(source, "bytes are missing in the middle of the zip", DAMAGED)
        file.seek(entry.header_offset)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size:
            raise DamagedArchive(source, f"{name!r} lies beyond the end of the zip", DAMAGED)
        signature, name_bytes, extra_bytes = _LOCAL.unpack(header)
        if signature != _LOCAL_SIGNATURE:
            raise DamagedArchive(source, f"{name!r} is not where the table of contents says", DAMAGED)
        if entry.header_offset + _LOCAL.size + name_bytes + extra_bytes + entry.compress_size > end:
            raise UnsafeArchive(
                source,
                f"{name!r} shares bytes with another entry, as zip bombs do",
                "Pack the archive again with an ordinary zip program",
            )

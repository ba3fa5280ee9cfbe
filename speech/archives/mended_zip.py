"""Zips whose table of contents is wrong in a known way, as if it were right.

macOS's Finder writes no zip64 records: in its zips of more than 4 GB offsets are modulo 2^32. Other packers say of
names in a local code page that they are UTF-8.
"""

from __future__ import annotations

import io
import struct
import zipfile
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from speech.archives.errors import UnsupportedArchive
from speech.archives.names import is_utf8

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s22xHH")
_LOCAL_SIGNATURE, _ENTRY_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02"
_LONGEST_END = _END.size + 0xFFFF
_UTF8_FLAG = 0x800
_ENTRY_FLAGS, _LOCAL_FLAGS = 8, 6  # bytes before the flags
_WRAP = 1 << 32
_WIDE_OFFSET = struct.Struct("<2HQ")

FINDER_REMEDY = (
    "Finder packs more than 4 GB so that sizes are lost: pack again in the Terminal with "
    "`zip -r archive.zip folder`, or with 7-Zip or Keka"
)


class MendedZip(zipfile.ZipFile):
    """A zip, its table of contents mended where it is wrong in a known way.

    Raises what `zipfile.ZipFile` raises, OSError, and `UnsupportedArchive` where Finder's zip cannot be mended.
    """

    def __init__(self, source: str, path: Path) -> None:
        self.bytes_of_zip: BinaryIO = path.open("rb")
        try:
            if (mended := _mended(source, self.bytes_of_zip)) is not None:
                self.bytes_of_zip = cast(BinaryIO, _Joined(self.bytes_of_zip, *mended))
            super().__init__(self.bytes_of_zip)
        except BaseException:
            self.bytes_of_zip.close()
            raise

    def close(self) -> None:
        super().close()
        if hasattr(self, "bytes_of_zip"):  # not where there was no file to open: zipfile closes it all the same
            self.bytes_of_zip.close()


class _Joined(io.RawIOBase):
    """The first `length` bytes of a file, and `tail` behind them; `others` are bytes in place of the file's own."""

    def __init__(self, file: BinaryIO, length: int, tail: bytes, others: Mapping[int, bytes]) -> None:
        self._file, self._length, self._tail = file, length, tail
        self._others, self._places = others, sorted(others)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length + len(self._tail)}[whence]
        if start + offset < 0:
            raise OSError("a place before the file's start")
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._length + len(self._tail) - self._at)
        size = left if size is None or size < 0 else min(size, left)
        self._file.seek(self._at)
        found = self._file.read(max(0, min(size, self._length - self._at)))
        end = self._at + len(found)
        for place in self._places[bisect_left(self._places, self._at) : bisect_left(self._places, end)]:
            start = place - self._at
            found = (found[:start] + self._others[place] + found[start + len(self._others[place]) :])[: len(found)]
        behind = end - self._length
        if behind >= 0:
            found += self._tail[behind : behind + size - len(found)]
        self._at += len(found)
        return found

    def close(self) -> None:
        self._file.close()
        super().close()


def _mended(source: str, file: BinaryIO) -> tuple[int, bytes, dict[int, bytes]] | None:
    """Where the table of contents begins, what should stand from there on, and what elsewhere; None where all is
    right, or is no table that is understood here: then zipfile says what is wrong."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _LONGEST_END))
    last = file.read()
    at = last.rfind(b"PK\x05\x06")
    if at < 0 or len(last) - at < _END.size:
        return None
    _, _, _, _, _, index_bytes, offset, _ = _END.unpack_from(last, at)
    end_at = size - len(last) + at
    wide = _wide_end(file, end_at)
    if wide is not None:
        index_bytes, offset, end_at = wide
    begin = end_at - index_bytes
    if begin < 0:
        return None
    file.seek(begin)
    entries = _entries(file.read(index_bytes))
    if entries is None:
        return None
    finder = wide is None and begin > offset and (begin - offset) % _WRAP == 0
    if finder:
        _widen(source, file, entries, begin)
    before = 0 if finder else begin - offset  # of a zip that unpacks itself, the program
    flags = {
        (before + entry.offset if entry.wide_offset is None else entry.wide_offset) + _LOCAL_FLAGS: entry.true_flags
        for entry in entries
        if entry.lies and entry.offset != _WRAP - 1  # where it is then stands in its extra field
    }
    if not finder and not flags:
        return None
    return begin, _tail(begin, begin - before, [entry.mended() for entry in entries]), flags


class _Entry:
    """An entry of a table of contents: its bytes as they are `written`, and what is read of them."""

    def __init__(self, written: bytes) -> None:
        self.written = written
        fields = _ENTRY.unpack_from(written)
        self.flags, self.packed, self.offset = fields[5], fields[10], fields[18]
        self.name_bytes, self.extra_bytes = fields[12], fields[13]
        self.wide_offset: int | None = None

    @property
    def name(self) -> bytes:
        return self.written[_ENTRY.size : _ENTRY.size + self.name_bytes]

    @property
    def lies(self) -> bool:
        """Whether the name is no UTF-8 though it is said to be."""
        return bool(self.flags & _UTF8_FLAG) and not is_utf8(self.name)

    @property
    def true_flags(self) -> bytes:
        return struct.pack("<H", self.flags & ~_UTF8_FLAG if self.lies else self.flags)

    def mended(self) -> bytes:
        """The entry as it should be."""
        changed = bytearray(self.written)
        changed[_ENTRY_FLAGS : _ENTRY_FLAGS + 2] = self.true_flags
        if self.wide_offset is not None and self.wide_offset != self.offset:
            struct.pack_into("<H", changed, 30, self.extra_bytes + _WIDE_OFFSET.size)
            struct.pack_into("<L", changed, 42, 0xFFFFFFFF)
            behind_name = _ENTRY.size + self.name_bytes
            changed[behind_name:behind_name] = _WIDE_OFFSET.pack(1, 8, self.wide_offset)
        return bytes(changed)


def _entries(index: bytes) -> list[_Entry] | None:
    found, at = [], 0
    while at < len(index):
        if len(index) - at < _ENTRY.size or index[at : at + 4] != _ENTRY_SIGNATURE:
            return None
        lengths = struct.unpack_from("<3H", index, at + 28)
        end = at + _ENTRY.size + sum(lengths)
        found.append(_Entry(index[at:end]))
        at = end
    return found


def _widen(source: str, file: BinaryIO, entries: list[_Entry], begin: int) -> None:
    """Find where each entry really is: entries follow one another in the order of Finder's table."""
    at = 0
    for entry in entries:
        place = entry.offset + max(0, -(-(at - entry.offset) // _WRAP)) * _WRAP
        while place < begin and not _is_there(file, entry, place):
            place += _WRAP
        if place >= begin:
            raise UnsupportedArchive(source, "a file in it is not where the zip says", FINDER_REMEDY)
        entry.wide_offset = place
        at = place + _LOCAL.size + entry.name_bytes + entry.packed
    ends = [entry.wide_offset or 0 for entry in entries[1:]] + [begin]
    for entry, end in zip(entries, ends, strict=True):
        if end - (entry.wide_offset or 0) - entry.packed >= _WRAP:
            raise UnsupportedArchive(source, "a file in it is larger than 4 GB", FINDER_REMEDY)


def _is_there(file: BinaryIO, entry: _Entry, place: int) -> bool:
    file.seek(place)
    header = file.read(_LOCAL.size + entry.name_bytes)
    return header[:4] == _LOCAL_SIGNATURE and header[_LOCAL.size :] == entry.name


def _wide_end(file: BinaryIO, end_at: int) -> tuple[int, int, int] | None:
    """Bytes and offset of the table of contents, and where the zip64 end record is, if there is one."""
    at = end_at - _LOCATOR.size - _END64.size
    if at < 0:
        return None
    file.seek(at)
    record, locator = file.read(_END64.size), file.read(_LOCATOR.size)
    if locator[:4] != b"PK\x06\x07" or record[:4] != b"PK\x06\x06":
        return None
    fields = _END64.unpack(record)
    return fields[8], fields[9], at


def _tail(begin: int, offset: int, entries: list[bytes]) -> bytes:
    """The table of contents and the records behind it, of a table that begins at `begin` and says `offset`."""
    index, count = b"".join(entries), len(entries)
    record = _END64.pack(b"PK\x06\x06", _END64.size - 12, 45, 45, 0, 0, count, count, len(index), offset)
    locator = _LOCATOR.pack(b"PK\x06\x07", 0, begin + len(index), 1)
    return index + record + locator + _END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)

"""Zips as macOS's Finder packs them: no zip64 records, offsets and sizes modulo 2^32."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

GIGABYTE = 1 << 30


def finders_zip(path: Path, sizes: list[int]) -> Path:
    """A sparse zip whose files are so many zeros, but for the last, which is `last`; not one record is wide."""
    index = b""
    with path.open("wb") as file:
        for number, size in enumerate([*sizes, 4]):
            name, at = f"calls/{number}.wav".encode(), file.tell()
            data = b"last" if number == len(sizes) else b""
            head = struct.pack("<5H3L2H", 20, 0, 0, 0, 0x21, zlib.crc32(data), size % 2**32, size % 2**32, len(name), 0)
            file.write(b"PK\3\4" + head + name + data)
            file.seek(size - len(data), 1)
            index += b"PK\1\2\x14\0" + head + struct.pack("<3H2L", 0, 0, 0, 0, at % 2**32) + name
        at = file.tell()
        count = (len(sizes) + 1) % 2**16
        file.write(index + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(index), at % 2**32, 0))
    return path

"""macOS's Finder packs more than 4 GB without zip64 records: offsets and sizes are modulo 2^32."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from speech.archives.errors import UnsupportedArchive
from speech.archives.mended_zip import MendedZip
from speech.archives.zip_index import open_zip

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


@pytest.mark.parametrize("sizes", [[GIGABYTE] * 5, [4 * GIGABYTE - 1, 10], [3 * GIGABYTE] * 4, [GIGABYTE] * 4])
def test_its_files_are_found_beyond_four_gigabytes(tmp_path: Path, sizes: list[int]) -> None:
    path = finders_zip(tmp_path / "a.zip", sizes)
    with open_zip("a.zip", path, 100) as (zipped, entries):
        assert [name for _, name in entries] == [f"calls/{number}.wav" for number in range(len(sizes) + 1)]
        assert zipped.read(entries[-1][0]) == b"last"
        assert entries[-1][0].header_offset > sum(sizes)
    assert zipped.fp is None


def test_a_file_of_more_than_four_gigabytes_in_it_names_finder_and_the_remedy(tmp_path: Path) -> None:
    path = finders_zip(tmp_path / "a.zip", [5 * GIGABYTE, 10])
    with pytest.raises(UnsupportedArchive, match=r"Finder.*zip -r"), open_zip("a.zip", path, 100):
        pass


def test_one_whose_files_are_not_there_names_finder_and_the_remedy(tmp_path: Path) -> None:
    path = finders_zip(tmp_path / "a.zip", [GIGABYTE] * 5)
    with path.open("r+b") as file:
        file.seek(GIGABYTE + 30 + len("calls/0.wav"))
        file.write(b"gone")
    with pytest.raises(UnsupportedArchive, match=r"Finder.*zip -r"), open_zip("a.zip", path, 100):
        pass


def test_what_is_right_is_read_as_it_is(tmp_path: Path) -> None:
    path = finders_zip(tmp_path / "a.zip", [10, 20])
    with MendedZip("a.zip", path) as zipped:
        assert zipped.bytes_of_zip.name == str(path)
        assert zipped.read("calls/2.wav") == b"last"

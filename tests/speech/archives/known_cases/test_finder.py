"""macOS's Finder packs more than 4 GB without zip64 records: offsets and sizes are modulo 2^32."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech.archives.errors import UnsupportedArchive
from speech.archives.mended_zip import MendedZip
from speech.archives.zip_index import open_zip
from tests.finder import GIGABYTE, finders_zip


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

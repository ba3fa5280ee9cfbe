"""Zips made to harm, or broken on the way: refused by name, and nothing written outside."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.unpacking import UnpackLimits, unpack
from speech.archives.errors import (
    DamagedArchive,
    EncryptedArchive,
    NotAnArchive,
    Truncated,
    UnsafeArchive,
    UnsupportedArchive,
)

A = "data_mp3/train/a.mp3"
B = "data_mp3/train/b.mp3"


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., Exception]:
    """Unpacks, expects the error, and that nothing appeared outside the target."""

    def run(content: bytes, error: type[Exception], match: str, **limits: Any) -> Exception:
        inside = tmp_path / "deep" / "inside"
        inside.mkdir(parents=True)
        (inside / "a.zip").write_bytes(content)
        with pytest.raises(error, match=match) as caught:
            unpack(inside / "a.zip", inside / "out", UnpackLimits(**limits), lambda line: None, source="the archive")
        assert type(caught.value) is error
        assert str(caught.value).startswith("the archive: ")
        outside = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if inside / "out" not in path.parents}
        assert {str(path) for path in outside} <= {"deep", "deep/inside", "deep/inside/a.zip", "deep/inside/out"}
        return caught.value

    return run


def central(content: bytes, name: str) -> int:
    """Where the table of contents speaks of `name`."""
    at = content.find(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.index(b"PK\x01\x02", at + 1)
    return at


def patched(content: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def with_entry(change: Callable[[zipfile.ZipInfo], None], name: str = A, data: bytes = b"data") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        entry = zipfile.ZipInfo(name)
        change(entry)
        zipped.writestr(entry, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("../evil.mp3", "leads out"),
        ("data_mp3/train/../../../evil.mp3", "leads out"),
        ("data_mp3/train/..", "leads out"),
        ("..\\evil.mp3", "leads out"),
        ("data_mp3\\..\\..\\evil.mp3", "leads out"),
        ("/etc/evil.mp3", "absolute"),
        ("\\\\server\\share\\evil.mp3", "absolute"),
        ("C:\\evil.mp3", "drive"),
        ("c:evil.mp3", "drive"),
        ("../evil/", "leads out"),
        ("__MACOSX/../../evil.mp3", "leads out"),
    ],
)
def test_names_that_escape(pack: Any, refused: Any, name: str, what: str) -> None:
    refused(pack({A: b"a", name: b"evil"}), UnsafeArchive, what)


@pytest.mark.parametrize(
    ("kind", "what"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFCHR, "device"), (stat.S_IFIFO, "pipe")]
)
def test_links_and_devices(refused: Any, kind: int, what: str) -> None:
    content = with_entry(lambda entry: setattr(entry, "external_attr", (kind | 0o777) << 16), data=b"/etc/passwd")
    refused(content, UnsafeArchive, what)


@pytest.mark.parametrize("flag", [0x1, 0x41])
def test_encrypted(pack: Any, refused: Any, flag: int) -> None:
    content = pack({A: b"a"})
    content = patched(content, 6, "<H", flag)
    content = patched(content, central(content, A) + 8, "<H", flag)
    refused(content, EncryptedArchive, "password.*without a password")


def test_encrypted_with_aes(pack: Any, refused: Any) -> None:
    content = pack({A: b"a"})
    refused(patched(content, central(content, A) + 10, "<H", 99), EncryptedArchive, "password")


@pytest.mark.parametrize(("method", "name"), [(9, "Deflate64"), (93, "Zstandard"), (77, "number 77")])
def test_unknown_methods(pack: Any, refused: Any, method: int, name: str) -> None:
    content = pack({A: b"a"})
    refused(patched(content, central(content, A) + 10, "<H", method), UnsupportedArchive, f"{name}.*Deflate method")


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_methods_whose_unpacking_cannot_be_bounded(pack: Any, refused: Any, method: int, name: str) -> None:
    refused(pack({A: bytes(1000)}, method), UnsupportedArchive, name)


def test_a_newer_zip_version(pack: Any, refused: Any) -> None:
    content = pack({A: b"a"})
    refused(patched(content, central(content, A) + 6, "<H", 99), UnsupportedArchive, "newer")


def test_a_volume_of_a_split_zip(pack: Any, refused: Any) -> None:
    content = pack({A: b"a"})
    refused(patched(content, content.rindex(b"PK\x05\x06") + 4, "<H", 3), UnsupportedArchive, "split")


def test_too_many_entries(pack: Any, refused: Any) -> None:
    content = pack({f"data_mp3/train/{i}.mp3": b"" for i in range(11)})
    refused(content, UnsafeArchive, r"11 entries.*max_files", max_files=10)


def test_too_many_entries_behind_a_lying_count(pack: Any, refused: Any) -> None:
    content = pack({f"data_mp3/train/{i}.mp3": b"" for i in range(11)})
    content = patched(content, content.rindex(b"PK\x05\x06") + 10, "<H", 1)
    refused(content, UnsafeArchive, "11 entries", max_files=10)


def test_a_huge_table_of_contents_is_not_read(pack: Any, refused: Any) -> None:
    content = pack({A: b"a"})
    refused(
        patched(content, content.rindex(b"PK\x05\x06") + 12, "<L", 3_000_000_000), UnsafeArchive, "table of contents"
    )


def test_a_huge_zip64_count_is_believed(pack: Any, refused: Any) -> None:
    content = pack({A: b"a"})
    at = content.rindex(b"PK\x05\x06")
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**9, 10**9, 10**11, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    refused(content[:at] + wide + locator + content[at:], UnsafeArchive, "1000000000 entries")


def test_a_bomb_by_its_ratio(pack: Any, refused: Any, tmp_path: Path) -> None:
    content = pack({A: bytes(80_000_000)})
    refused(content, UnsafeArchive, r"grown .*-fold, more than the 100-fold .*bomb.*max_ratio")
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.mp3")) < 70_000_000


def test_a_silent_recording_is_no_bomb(pack: Any, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(pack({A: bytes(10_000_000)}))
    assert unpack(tmp_path / "a.zip", tmp_path / "out", UnpackLimits(), lambda line: None).bytes == 10_000_000


def test_too_large_together(pack: Any, refused: Any) -> None:
    refused(pack({A: bytes(600), B: bytes(600)}), UnsafeArchive, "max_bytes", max_bytes=1000)


def test_one_file_too_large(pack: Any, refused: Any) -> None:
    refused(pack({A: bytes(600)}), UnsafeArchive, "max_file_bytes", max_file_bytes=500)


def test_sizes_in_headers_are_not_believed(pack: Any, refused: Any, tmp_path: Path) -> None:
    content = pack({A: bytes(50_000_000)})
    content = patched(content, central(content, A) + 24, "<L", 10)
    refused(content, DamagedArchive, "a.mp3")
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.mp3")) <= 10


def test_a_header_that_promises_more(pack: Any, refused: Any) -> None:
    content = pack({A: b"a"})
    refused(patched(content, central(content, A) + 24, "<L", 10), DamagedArchive, "has 1 bytes and not the 10")


def test_entries_that_share_bytes(pack: Any, refused: Any) -> None:
    content = pack({A: b"a" * 1000, B: b"a" * 1000})
    first = struct.unpack_from("<L", content, central(content, A) + 42)[0]
    refused(patched(content, central(content, B) + 42, "<L", first), UnsafeArchive, "shares bytes")


def test_an_entry_that_holds_its_follower(pack: Any, refused: Any) -> None:
    content = pack({A: b"a" * 10, B: b"b" * 10}, zipfile.ZIP_STORED)
    refused(patched(content, central(content, A) + 20, "<L", 60), UnsafeArchive, "shares bytes")


def test_damaged_bytes(pack: Any, refused: Any) -> None:
    content = pack({A: b"recording" * 100}, zipfile.ZIP_STORED)
    at = content.index(b"recording")
    error = refused(patched(content, at, "<B", 0), DamagedArchive, "CRC")
    assert "again" in str(error)


def test_damaged_deflate(archive: bytes, refused: Any) -> None:
    damaged = bytearray(archive)
    damaged[300_000:300_100] = bytes(100)
    refused(bytes(damaged), DamagedArchive, "a.mp3")


def test_truncated(archive: bytes, refused: Any) -> None:
    refused(archive[:500_000], Truncated, "breaks off after 500000 bytes")


def test_cut_in_the_end_record(archive: bytes, refused: Any) -> None:
    refused(archive[:-5], DamagedArchive, "end record is cut")


def test_bytes_missing_in_the_middle(archive: bytes, refused: Any) -> None:
    refused(archive[:200_000] + archive[300_000:], DamagedArchive, "missing in the middle")


def test_an_entry_beyond_the_end(pack: Any, refused: Any) -> None:
    content = pack({A: b"a"})
    refused(patched(content, central(content, A) + 42, "<L", 10**9), DamagedArchive, "beyond the end")


def test_a_name_that_differs_in_both_headers(pack: Any, refused: Any) -> None:
    content = pack({A: b"a"})
    changed = content.replace(A.encode(), A.replace("a.mp3", "z.mp3").encode(), 1)
    refused(changed, DamagedArchive, "File name in directory")


def test_not_a_zip(refused: Any) -> None:
    refused(b"file,label\n", NotAnArchive, "no zip archive")


@pytest.mark.parametrize(
    "second", [A, "data_mp3/train/A.mp3", "DATA_MP3/train/a.mp3", "data_mp3//train/./a.mp3", "data_mp3\\train\\a.mp3"]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name(second: str, tmp_path: Path) -> None:
    def two(data: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as zipped:
            zipped.writestr(A, b"first")
            zipped.writestr(second, data)
        return buffer.getvalue()

    for other in (b"other", b"firs", b"first!", b""):
        (tmp_path / "b.zip").write_bytes(two(other))
        with pytest.raises(UnsafeArchive, match="two different files"):
            unpack(tmp_path / "b.zip", tmp_path / f"out of {other.hex()}", UnpackLimits(), lambda line: None)
    (tmp_path / "b.zip").write_bytes(two(b"first"))
    result = unpack(tmp_path / "b.zip", tmp_path / "out", UnpackLimits(), lambda line: None)
    assert result.files == 1
    assert result.bytes == 5
    assert [ignored.reason for ignored in result.ignored] == [f"the same as {A}"]


def test_composed_and_decomposed_names_are_one(pack: Any, refused: Any) -> None:
    content = pack({"data_mp3/train/\u0439.mp3": b"a", "data_mp3/train/\u0438\u0306.mp3": b"b"})
    refused(content, UnsafeArchive, "two different files")


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_that_is_a_folder_too(pack: Any, refused: Any, order: int) -> None:
    names = ["data_mp3/train", "data_mp3/train/a.mp3"][::order]
    refused(pack(dict.fromkeys(names, b"x")), UnsafeArchive, "both a file and a folder")

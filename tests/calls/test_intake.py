"""What people send instead of an archive of calls: a clear answer each, and the good files are taken."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from calls.errors import IntakeError
from calls.intake import IntakeLimits, allowed_folder, from_files, from_folder, from_zip

HEADS: dict[str, list[str]] = json.loads((Path(__file__).parent / "known_cases" / "archive_heads.json").read_text())
LIMITS = IntakeLimits(max_files=50, max_file_bytes=10_000, max_bytes=100_000)


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def without_magic(content: bytes) -> bytes:
    """The first header of a tar as it was before POSIX: no magic, and its checksum anew."""
    header = bytearray(content)
    header[257:512] = bytes(255)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    return bytes(header)


def with_password(content: bytes, name: str) -> bytes:
    """The archive, its table of contents saying that `name` is encrypted."""
    at = content.find(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.index(b"PK\x01\x02", at + 1)
    changed = bytearray(content)
    struct.pack_into("<H", changed, at + 8, struct.unpack_from("<H", changed, at + 8)[0] | 1)
    return bytes(changed)


def tar(mode: str, form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{mode}", format=form) as archive:  # type: ignore[call-overload]
        archive.addfile(tarfile.TarInfo("a.wav"), io.BytesIO())
    return buffer.getvalue()


ARCHIVES = {name: (bytes.fromhex(head), kind) for name, (head, kind) in HEADS.items()} | {
    "calls.tar.gz": (tar("gz", tarfile.PAX_FORMAT), "gzip"),
    "calls.tgz": (tar("gz", tarfile.GNU_FORMAT), "gzip"),
    "calls.tar.bz2": (tar("bz2", tarfile.USTAR_FORMAT), "bzip2"),
    "calls.tar.xz": (tar("xz", tarfile.PAX_FORMAT), "xz"),
    "calls.tar": (tar("", tarfile.GNU_FORMAT), "tar archive"),
    "calls of 1979.tar": (without_magic(tar("", tarfile.USTAR_FORMAT)), "tar archive"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_another_archive_than_a_zip_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    content, kind = ARCHIVES[name]
    (tmp_path / "0").write_bytes(content)
    for files in ([(name, tmp_path / "0")], [(name, tmp_path / "0")] * 2):
        with pytest.raises(IntakeError, match=kind) as caught:
            from_files(files, tmp_path, LIMITS)
        assert caught.value.code == "unsupported_archive"
        assert name in str(caught.value)
        assert ".zip" in str(caught.value)


@pytest.mark.parametrize("name", ARCHIVES)
def test_among_recordings_it_is_that_files_failure(tmp_path: Path, name: str) -> None:
    (tmp_path / "0").write_bytes(ARCHIVES[name][0])
    (tmp_path / "1").write_bytes(b"RIFF")
    items = from_files([(name, tmp_path / "0"), ("a.wav", tmp_path / "1")], tmp_path, LIMITS)
    assert [item.code for item in items] == ["nested_archive", None]


@pytest.mark.parametrize(
    "head", [b"", bytes(4096), b"RIFF", b"ID3", b"#!AMR\n", b"OggS", b"fLaC", b"\xff\xfb\x90\x64", b"7z"]
)
def test_recordings_are_no_archives(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "0").write_bytes(head)
    (item,) = from_files([("a", tmp_path / "0")], tmp_path, LIMITS)
    assert item.code in (None, "empty")


@pytest.fixture
def taken(tmp_path: Path) -> Callable[[bytes], dict[str, str | None]]:
    """Each file's name and why it cannot be judged."""

    def take(content: bytes) -> dict[str, str | None]:
        (tmp_path / "a.zip").write_bytes(content)
        return {item.name: item.code for item in from_zip(tmp_path / "a.zip", "a.zip", LIMITS)}

    return take


def test_what_is_wrong_with_one_file_is_that_files_failure(taken: Callable[[bytes], dict[str, str | None]]) -> None:
    content = zipped(
        {
            "calls/good.wav": b"sound",
            "calls/locked.wav": b"sound",
            "calls/inner.zip": b"PK",
            "calls/empty.wav": b"",
            "calls/huge.wav": bytes(10_001),
            "../climbs.wav": b"sound",
            "__MACOSX/calls/._good.wav": b"left",
            "calls/.DS_Store": b"left",
            "notes.txt": b"text",
        }
    )
    assert taken(with_password(content, "calls/locked.wav")) == {
        "calls/good.wav": None,
        "calls/locked.wav": "encrypted",
        "calls/inner.zip": "nested_archive",
        "calls/empty.wav": "empty",
        "calls/huge.wav": "too_large",
        "../climbs.wav": "unsafe_name",
        "notes.txt": None,  # whether it is sound its decoder says
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_an_entry_that_comes_twice_the_first_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.wav", b"one")
        archive.writestr("a.wav", b"two")
        archive.writestr("b.wav", b"one")  # the same content under another name is judged
    items = from_zip(tmp_path / "a.zip", "a.zip", LIMITS)
    assert [(item.name, item.code, item.source) for item in items] == [
        ("a.wav", None, "0"), ("a.wav", "twice", "1"), ("b.wav", None, "2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (zipped({}), "empty_batch"),
        (zipped({"calls/": b"", ".hidden": b"x"}), "empty_batch"),
        (zipped({"a.wav": bytes(3000)})[:2000], "truncated"),
        (b"RIFF....", "bad_archive"),
        (b"", "bad_archive"),
        (zipped({f"{number}.wav": b"x" for number in range(51)}), "too_many_files"),
        (zipped({f"{number}.wav": bytes(9_000) for number in range(12)}), "too_large"),
    ],
)
def test_what_is_wrong_with_all_of_it_refuses_it(
    taken: Callable[[bytes], dict[str, str | None]], content: bytes, code: str
) -> None:
    with pytest.raises(IntakeError) as refused:
        taken(content)
    assert refused.value.code == code


def test_a_bomb_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"a.wav": bytes(70_000_000)}, zipfile.ZIP_DEFLATED))
    with pytest.raises(IntakeError, match="hundredfold") as refused:
        from_zip(tmp_path / "a.zip", "a.zip", IntakeLimits())
    assert refused.value.code == "unsafe_archive"


def many(count: int) -> bytes:
    """A zip of so many recordings of one byte, with the wide end record that so many need; zipfile takes seconds."""
    parts, index, at = [], [], 0
    for number in range(count):
        name = b"%d.wav" % number
        head = struct.pack("<5H3L2H", 20, 0, zipfile.ZIP_STORED, 0, 0x21, zlib.crc32(b"x"), 1, 1, len(name), 0)
        parts.append(b"PK\3\4" + head + name + b"x")
        index.append(b"PK\1\2\x14\0" + head + struct.pack("<3H2L", 0, 0, 0, 0, at) + name)
        at += len(parts[-1])
    contents = b"".join(index)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 20, 20, 0, 0, count, count, len(contents), at)
    place = struct.pack("<4sLQL", b"PK\6\7", 0, at + len(contents), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return b"".join([*parts, contents, wide, place, end])


def test_a_hundred_thousand_entries_are_refused_by_their_number_or_taken(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(many(100_000))
    with pytest.raises(IntakeError) as refused:
        from_zip(tmp_path / "a.zip", "a.zip", IntakeLimits())
    assert refused.value.code == "too_many_files"
    assert len(from_zip(tmp_path / "a.zip", "a.zip", IntakeLimits(max_files=100_000))) == 100_000


def test_files_and_folders_are_judged_by_the_same_rules(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.wav").write_bytes(b"sound")
    (folder / "deep" / "b.wav").write_bytes(b"")
    (folder / "deep" / "renamed.wav").write_bytes(zipped({"a.wav": b"sound"}))
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "above").symlink_to(tmp_path)
    found = {item.name: item.code for item in from_folder(folder, LIMITS)}
    assert found == {"a.wav": None, "deep/b.wav": "empty", "deep/renamed.wav": "nested_archive"}
    (sent,) = from_files([("=1+1\n.wav", folder / "a.wav")], folder, LIMITS)
    assert (sent.name, sent.source) == ("=1+1\N{REPLACEMENT CHARACTER}.wav", "a.wav")
    with pytest.raises(IntakeError, match="no file"):
        from_files([], folder, LIMITS)


def test_only_folders_below_a_root_are_allowed_wherever_links_lead(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "march").mkdir(parents=True)
    outside.mkdir()
    (root / "leads_out").symlink_to(outside)
    (tmp_path / "leads_in").symlink_to(root / "march")
    assert allowed_folder(str(root / "march"), [root]) == root / "march"
    assert allowed_folder(str(tmp_path / "leads_in"), [root]) == root / "march"
    wrong = [root / "leads_out", outside, root / ".." / "outside", root / "nothing", Path("march"), Path("/")]
    for name in [*map(str, wrong), "\0", "x" * 5000]:
        with pytest.raises(IntakeError) as refused:
            allowed_folder(name, [root])
        assert refused.value.code == "bad_folder"
    with pytest.raises(IntakeError):
        allowed_folder(str(root / "march"), [])

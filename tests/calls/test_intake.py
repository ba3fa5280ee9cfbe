"""What people send instead of an archive of calls: a clear answer each, and the good files are taken."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from calls.errors import IntakeError
from calls.intake import IntakeLimits, allowed_folder, from_files, from_folder, from_zip

LIMITS = IntakeLimits(max_files=50, max_file_bytes=10_000, max_bytes=100_000)


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_password(content: bytes, name: str) -> bytes:
    """The archive, its table of contents saying that `name` is encrypted."""
    at = content.find(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.index(b"PK\x01\x02", at + 1)
    changed = bytearray(content)
    struct.pack_into("<H", changed, at + 8, struct.unpack_from("<H", changed, at + 8)[0] | 1)
    return bytes(changed)


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


def test_a_hundred_thousand_entries_are_refused_by_their_number_or_taken(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(100_000):
            archive.writestr(zipfile.ZipInfo(f"{number}.wav"), b"x")
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

"""Names that no disk takes cost one file; what systems leave behind costs nothing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.archive.unpacking import Unpacked, UnpackLimits, unpack
from speech.archives.errors import UnsafeArchive

GOOD = "data_mp3/train/a.mp3"

Taken = Callable[[bytes], tuple[Unpacked, set[str]]]


def packed(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name in names:
            zipped.writestr(name, b"sound")
    return buffer.getvalue()


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    def take(content: bytes) -> tuple[Unpacked, set[str]]:
        (tmp_path / "a.zip").write_bytes(content)
        result = unpack(tmp_path / "a.zip", tmp_path / "out", UnpackLimits(), print)
        return result, {
            path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
        }

    return take


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("data_mp3/train/a\nb.mp3", "control"),
        ("data_mp3/train/a\x85b.mp3", "control"),
        ("data_mp3/train\r/b.mp3", "control"),
        ("data_mp3/train/" + "я" * 130 + ".mp3", "too long"),
        ("data_mp3/" + "a/" * 600 + "a.mp3", "too long"),
        ("notes\t.txt", "control"),
    ],
)
def test_an_impossible_name_costs_its_file(taken: Taken, name: str, what: str) -> None:
    result, found = taken(packed([GOOD, name]))
    assert found == {GOOD}
    (ignored,) = result.ignored
    assert ignored.name == name
    assert what in ignored.reason
    assert "Rename it" in ignored.reason


def test_a_zero_byte_costs_its_file(taken: Taken) -> None:
    result, found = taken(packed([GOOD, "data_mp3/train/x#.mp3"]).replace(b"x#.mp3", b"x\0.mp3"))
    assert (found, len(result.ignored)) == ({GOOD}, 1)


@pytest.mark.parametrize("name", ["../a\n.mp3", "/etc/a\n.mp3"])
def test_a_name_that_leads_elsewhere_refuses_the_archive_whatever_else_it_holds(taken: Taken, name: str) -> None:
    with pytest.raises(UnsafeArchive, match=r"leads out|absolute"):
        taken(packed([GOOD, name]))


LEFT = [
    "data_mp3/train/Icon\r",
    "Icon\r",
    "data_mp3/train/ICON\uf00d",
    "data_mp3/train/~$table.docx",
    "data_mp3/train/a.mp3:Zone.Identifier",
    "data_mp3/train/Thumbs.db:encryptable",
    "data_mp3/train/ehthumbs.db",
    "data_mp3/train/@eaDir/a.mp3/SYNOAUDIO_1.mp3",
    "data_mp3/#recycle/b.mp3",
    "data_mp3/$RECYCLE.BIN/b.mp3",
    "data_mp3/LOST.DIR/1.mp3",
    "data_mp3/train/._a.mp3",
]


@pytest.mark.parametrize("name", LEFT)
def test_what_systems_leave_behind_is_no_recording(taken: Taken, name: str) -> None:
    result, found = taken(packed([GOOD, name]))
    assert found == {GOOD}
    assert "left by the operating system" in result.ignored[0].reason


def test_a_recording_called_icon_is_one(taken: Taken) -> None:
    _, found = taken(packed(["data_mp3/train/Icon.mp3", "data_mp3/train/recycle.mp3", "data_mp3/train/~a.mp3"]))
    assert len(found) == 3


def test_names_in_a_code_page_that_are_said_to_be_utf8(taken: Taken) -> None:
    content = packed([GOOD, "data_mp3/train/рот.mp3"]).replace("рот".encode(), "рот!!!".encode("cp866"))
    _, found = taken(content)
    assert found == {GOOD, "data_mp3/train/рот!!!.mp3"}

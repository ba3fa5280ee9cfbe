"""Archives as people make them come out as one layout."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
import zipfile
import zlib
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.unpacking import Ignored, Unpacked, UnpackLimits, unpack
from speech.archives.errors import DiskFull, UnexpectedLayout
from speech.files import whole_folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def unpacked(tmp_path: Path, pack: Any) -> Any:
    """Packs files, unpacks them again, gives the result and what lies in the folder."""

    def run(content: dict[str, bytes] | bytes, **limits: Any) -> tuple[Unpacked, dict[str, bytes]]:
        path, target = tmp_path / "a.zip", tmp_path / "out"
        path.write_bytes(content if isinstance(content, bytes) else pack(content))
        return unpack(path, target, UnpackLimits(**limits), lambda line: None), files(target)

    return run


def test_the_expected_layout(unpacked: Any) -> None:
    content = {"data_train.csv": b"file\n", "data_mp3/train/a.mp3": b"a", "data_mp3/train/b.MP3": b"bb"}
    result, found = unpacked(content)
    assert found == content
    assert result == Unpacked(files=3, bytes=8, ignored=())


def test_a_real_empty_target_is_needed(tmp_path: Path, archive: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(archive)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with pytest.raises(ValueError, match="not empty"):
        unpack(tmp_path / "a.zip", tmp_path / "out", UnpackLimits(), lambda line: None)


@pytest.mark.parametrize("wrapper", ["", "set/", "a/b/Новая папка/", "./"])
def test_wrapper_folders_are_stripped(unpacked: Any, wrapper: str) -> None:
    _, found = unpacked({f"{wrapper}data_train.csv": b"csv", f"{wrapper}data_mp3/train/a.mp3": b"a"})
    assert found == {"data_train.csv": b"csv", "data_mp3/train/a.mp3": b"a"}


def test_neighbouring_folders_are_kept(unpacked: Any) -> None:
    content = {
        "data_train.csv": b"csv",
        "data_mp3/train/a.mp3": b"a",
        "data_mp3/test/a.mp3": b"b",
        "data_mp3/extra/ivanov/1.wav": b"c",
        "data_mp3/loose.mp3": b"d",
    }
    assert unpacked(content)[1] == content


def test_without_labels(unpacked: Any) -> None:
    result, found = unpacked({"data_mp3/train/a.mp3": b"a"})
    assert found == {"data_mp3/train/a.mp3": b"a"}
    assert result.files == 1


def test_labels_around_the_wrapper_and_within_the_audio(unpacked: Any) -> None:
    assert unpacked({"data_train.csv": b"csv", "audio/data_mp3/train/a.mp3": b"a"})[1]["data_train.csv"] == b"csv"


def test_labels_directly_in_the_audio_folder(unpacked: Any) -> None:
    _, found = unpacked({"data_mp3/data_train.csv": b"csv", "data_mp3/train/a.mp3": b"a"})
    assert found == {"data_train.csv": b"csv", "data_mp3/train/a.mp3": b"a"}


def test_the_nearest_labels_count(unpacked: Any) -> None:
    result, found = unpacked({"data_train.csv": b"old", "set/data_train.csv": b"new", "set/data_mp3/train/a.mp3": b"a"})
    assert found["data_train.csv"] == b"new"
    assert [ignored.name for ignored in result.ignored] == ["data_train.csv"]


def test_case_of_the_layout_does_not_matter_but_that_of_recordings_is_kept(unpacked: Any) -> None:
    _, found = unpacked({"Data_Train.CSV": b"csv", "DATA_MP3/Train/A.MP3": b"a"})
    assert found == {"data_train.csv": b"csv", "data_mp3/Train/A.MP3": b"a"}


def test_what_systems_leave_behind_is_ignored(unpacked: Any) -> None:
    result, found = unpacked(
        {
            "__MACOSX/set/data_mp3/train/._a.mp3": b"x",
            "__MACOSX/data_mp3/train/._a.mp3": b"x",
            "set/.DS_Store": b"x",
            "set/data_mp3/train/Thumbs.db": b"x",
            "set/data_mp3/train/._a.mp3": b"x",
            "set/data_mp3/desktop.ini": b"x",
            "set/data_mp3/train/more.zip": b"PK",
            "set/data_mp3/train/a.mp3": b"a",
            "set/notes.txt": b"x",
        }
    )
    assert found == {"data_mp3/train/a.mp3": b"a"}
    assert len(result.ignored) == 8
    assert Ignored("set/notes.txt", "neither data_train.csv nor below data_mp3") in result.ignored
    assert any("archive inside" in ignored.reason for ignored in result.ignored)


def test_no_audio_folder(unpacked: Any) -> None:
    with pytest.raises(UnexpectedLayout, match=r"a\.zip: .*found: r00/0.*r09/9\.mp3 and 2 more.*data_mp3/train"):
        unpacked({f"r{i:02}/{i}.mp3": b"a" for i in range(12)})


def test_an_empty_zip(unpacked: Any) -> None:
    with pytest.raises(UnexpectedLayout, match="no files at all"):
        unpacked({})


def test_two_audio_folders_side_by_side(unpacked: Any) -> None:
    with pytest.raises(UnexpectedLayout, match="in one, two"):
        unpacked({"one/data_mp3/train/a.mp3": b"a", "two/data_mp3/train/a.mp3": b"a"})


def test_the_topmost_audio_folder_counts(unpacked: Any) -> None:
    result, found = unpacked({"data_mp3/train/a.mp3": b"a", "backup/data_mp3/train/a.mp3": b"old"})
    assert found == {"data_mp3/train/a.mp3": b"a"}
    assert len(result.ignored) == 1


class RawName(zipfile.ZipInfo):
    """An entry whose name is written as the given bytes, without the UTF-8 flag."""

    raw: bytes

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.raw, self.flag_bits & ~0x800


def raw_zip(names: list[bytes], extras: list[bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for number, raw in enumerate(names):
            entry = RawName(f"entry{number}")
            entry.raw = raw
            entry.extra = extras[number] if extras else b""
            zipped.writestr(entry, raw)
    return buffer.getvalue()


def test_names_of_russian_dos_and_windows(unpacked: Any) -> None:
    name = "data_mp3/train/Ёжик и щука №1.mp3"
    assert set(unpacked(raw_zip([name.encode("cp866")]))[1]) == {name}


def test_names_in_the_windows_code_page(unpacked: Any) -> None:
    names = ["data_mp3/train/Мама мыла раму.mp3", "data_mp3/train/Рыба.mp3"]
    assert set(unpacked(raw_zip([name.encode("cp1251") for name in names]))[1]) == set(names)


def test_names_of_macos_utf8_without_the_flag_and_decomposed(unpacked: Any) -> None:
    name = "data_mp3/train/йод и ёлка.mp3"
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != name
    assert set(unpacked(raw_zip([decomposed.encode()]))[1]) == {name}


def test_decomposed_names_with_the_flag(unpacked: Any) -> None:
    name = "data_mp3/train/йод.mp3"
    assert set(unpacked({unicodedata.normalize("NFD", name): b"a"})[1]) == {name}


def test_names_in_the_unicode_path_field(unpacked: Any) -> None:
    name, raw = "data_mp3/train/ру\u0301сский ő.mp3", b"data_mp3/train/??? ?.mp3"
    field = b"\x01" + zlib.crc32(raw).to_bytes(4, "little") + name.encode()
    extra = (0x7075).to_bytes(2, "little") + len(field).to_bytes(2, "little") + field
    stale = extra.replace(zlib.crc32(raw).to_bytes(4, "little"), b"\0\0\0\0")
    other = b"data_mp3/train/plain.mp3"
    found = unpacked(raw_zip([raw, other], [extra, stale]))[1]
    assert set(found) == {unicodedata.normalize("NFC", name), other.decode()}


def test_backslashes_divide(unpacked: Any) -> None:
    _, found = unpacked(raw_zip([b"set\\data_mp3\\train\\a.mp3", b"set\\data_train.csv", b"set\\data_mp3\\"]))
    assert set(found) == {"data_mp3/train/a.mp3", "data_train.csv"}


def test_progress_says_how_far(tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(archive)
    monkeypatch.setattr("pipeline.archive.meter.Meter.__init__.__defaults__", (0, 0.0))
    lines: list[str] = []
    unpack(tmp_path / "a.zip", tmp_path / "out", UnpackLimits(), lines.append, source="https://host/a.zip")
    assert any("0.3 MB of 0.6 MB" in line and "MB/s" in line and "left" in line for line in lines)
    assert all(line.startswith("unpacking https://host/a.zip: ") for line in lines)


def test_a_full_disk_is_told_beforehand(tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(archive)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 100_000))
    with pytest.raises(DiskFull, match=r"0\.6 MB needed \(0\.1 MB free\)"):
        unpack(tmp_path / "a.zip", tmp_path / "out", UnpackLimits(), lambda line: None)
    assert files(tmp_path / "out") == {}


def test_a_disk_that_fills_up_leaves_nothing_that_looks_whole(
    tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.zip").write_bytes(archive)
    opened = Path.open

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", *rest: Full() if mode == "xb" else opened(path, mode, *rest)
    )
    with pytest.raises(DiskFull, match=r"0\.6 MB needed"), whole_folder(tmp_path / "stage") as temporary:
        unpack(tmp_path / "a.zip", temporary, UnpackLimits(), lambda line: None)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_killed_process_leaves_nothing_that_looks_whole(tmp_path: Path, pack: Any) -> None:
    content = {f"data_mp3/train/{number}.mp3": b"a" for number in range(200)}
    (tmp_path / "a.zip").write_bytes(pack(content))
    program = (
        "import sys, time; from pathlib import Path; from pipeline.archive.meter import Meter;"
        "from pipeline.archive.unpacking import UnpackLimits, unpack; from speech.files import whole_folder\n"
        "Meter.reached = lambda *_: time.sleep(0.1)\n"
        "with whole_folder(Path('stage')) as target: unpack(Path('a.zip'), target, UnpackLimits(), print)"
    )
    root = str(Path(__file__).parents[3])
    child = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
    try:
        deadline = time.monotonic() + 30
        while not list(tmp_path.rglob("*.mp3")):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.02)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "stage").exists()
    with whole_folder(tmp_path / "stage") as temporary:
        unpack(tmp_path / "a.zip", temporary, UnpackLimits(), lambda line: None)
    assert files(tmp_path / "stage") == content

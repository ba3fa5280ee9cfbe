"""Users' files: names, limits, walls between users."""

from __future__ import annotations

from pathlib import Path

import pytest

from web.files import FileError, FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files", max_file_bytes=100, max_user_bytes=150)


def test_a_file_comes_back_and_goes(store: FileStore, tmp_path: Path) -> None:
    mine = store.of(1)
    name = mine.add(b"sound", "WAV")
    assert (mine.read(name), mine.names(), mine.size()) == (b"sound", [name], 5)
    path = tmp_path / "files" / "1" / name
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    mine.remove(name)
    mine.remove(name)
    assert mine.names() == []
    with pytest.raises(FileError, match="file_not_found"):
        mine.read(name)


def test_nobody_reads_anothers_file(store: FileStore) -> None:
    name = store.of(1).add(b"sound", "wav")
    for sly in (name, f"../1/{name}", f"/{name}", "..", "", "a\x00b"):
        with pytest.raises(FileError):
            store.of(2).read(sly)
    with pytest.raises(FileError):
        store.of(2).remove(f"../1/{name}")
    assert store.of(1).read(name) == b"sound"


def test_limits(store: FileStore) -> None:
    mine = store.of(1)
    with pytest.raises(FileError, match="file_too_large"):
        mine.add(bytes(101), "wav")
    mine.add(bytes(100), "wav")
    with pytest.raises(FileError, match="file_no_room"):
        mine.add(bytes(60), "wav")
    store.of(2).add(bytes(60), "wav")
    with pytest.raises(FileError):
        mine.add(b"x", "../wav")


def test_what_lies_there_already_is_kept_without_a_copy(store: FileStore) -> None:
    mine = store.of(1)
    with mine.create(f"{'0' * 32}.upload") as file:
        file.write(bytes(90))
    upload = mine.find(f"{'0' * 32}.upload")
    name = mine.add(upload, "wav")
    assert mine.find(name).stat().st_ino == upload.stat().st_ino
    assert (mine.size(), mine.room()) == (90, 60)  # two names, one file
    with pytest.raises(FileError, match="file_too_large"):
        mine.store(upload, "wav", 89)
    with pytest.raises(FileError, match="file_no_room"):
        mine.add(bytes(61), "wav")
    mine.remove(upload.name)
    assert mine.read(name) == bytes(90)
    with pytest.raises(FileError, match="file_not_found"):
        mine.add(upload, "wav")


def test_deleting_takes_all_of_one_user(store: FileStore, tmp_path: Path) -> None:
    store.of(1).add(b"a", "wav")
    other = store.of(2).add(b"b", "wav")
    store.delete(1)
    store.delete(1)
    assert [path.name for path in (tmp_path / "files").rglob("*.wav")] == [other]

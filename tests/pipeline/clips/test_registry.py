"""The registry of splits: what it remembers, and that it is never half-written, overruled or taken for empty."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.clips.registry import Registry, RegistryError, commit, load_registry, speaker_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry" / "speakers.json"


def test_no_file_is_an_empty_registry(path: Path) -> None:
    assert load_registry(path) == Registry()


def test_what_is_committed_is_remembered_beside_what_was(path: Path) -> None:
    commit(path, Registry({"one": {"anna": "train"}}, {"aa": "train"}))
    commit(path, Registry({"one": {"boris": "test"}, "two": {"anna": "test"}}, {"bb": "test"}))
    known = load_registry(path)
    assert known.of_speaker("one", "anna") == "train"
    assert known.of_speaker("two", "anna") == "test"
    assert known.of_speaker("two", "boris") is None
    assert known.contents == {"aa": "train", "bb": "test"}


def test_the_same_again_does_not_touch_the_file(path: Path) -> None:
    news = Registry({"one": {"anna": "train"}}, {"aa": "train"})
    commit(path, news)
    before = path.stat()
    commit(path, news)
    assert path.stat().st_ino == before.st_ino


def test_a_known_speaker_never_moves(path: Path) -> None:
    commit(path, Registry({"one": {"anna": "train"}}, {}))
    with pytest.raises(RegistryError, match="'anna' of one is in train, this run put it into test"):
        commit(path, Registry({"one": {"anna": "test", "boris": "test"}}, {}))
    assert load_registry(path).of_speaker("one", "boris") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "speakers": [], "contents": {}}'])
def test_a_damaged_registry_is_not_taken_for_empty(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(RegistryError, match="damaged"):
        load_registry(path)


def test_unknown_formats_and_splits_are_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"format": 2, "speakers": {}, "contents": {}}')
    with pytest.raises(RegistryError, match="format 2"):
        load_registry(path)
    path.write_text('{"format": 1, "speakers": {}, "contents": {"aa": "holdout"}}')
    with pytest.raises(RegistryError, match="holdout"):
        load_registry(path)


def test_writers_at_once_lose_nothing(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: commit(path, Registry({"one": {f"s{n}": "train"}}, {f"{n}": "train"})), range(24)))
    assert len(load_registry(path).speakers["one"]) == 24


def test_a_retyped_name_is_one_speaker() -> None:
    assert speaker_key(" Анна ") == speaker_key("анна")

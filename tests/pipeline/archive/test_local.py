"""Archives on this machine: only below the allowed roots, hashed once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive import local
from pipeline.archive.local import ROOTS_VARIABLE, archive_roots
from pipeline.archive.settings import ArchiveSettings
from pipeline.archive.sources import fetch
from speech.archives.errors import ForbiddenSource, NoPermission, NotAnArchive, SourceNotFound, Truncated
from speech.home import Home


@pytest.fixture
def roots(tmp_path: Path, archive: bytes) -> Path:
    """An allowed folder with an archive, beside one that is not allowed."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "мой архив.zip").write_bytes(archive)
    (tmp_path / "outside.zip").write_bytes(archive)
    return allowed


@pytest.fixture
def limited(options: ArchiveSettings, roots: Path) -> ArchiveSettings:
    return options.model_copy(update={"allowed_roots": [str(roots)]})


def test_a_path_is_used_in_place(
    roots: Path, archive: bytes, tmp_path: Path, limited: ArchiveSettings, lines: list[str]
) -> None:
    path = roots / "мой архив.zip"
    fetched = fetch(str(path), tmp_path / "cache", limited, lines.append)
    assert fetched.path == path
    assert fetched.sha256 == hashlib.sha256(archive).hexdigest()
    assert not (tmp_path / "cache" / "contents").exists()


@pytest.mark.parametrize("prefix", ["file://", "file://localhost", "file:", "FILE://"])
def test_file_urls(prefix: str, roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str]) -> None:
    url = prefix + (roots / "мой архив.zip").as_uri().removeprefix("file://")
    assert fetch(url, tmp_path / "cache", limited, lines.append).path == roots / "мой архив.zip"


def test_relative_and_home_paths(
    roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(roots)
    monkeypatch.setenv("HOME", str(roots))
    for source in ("мой архив.zip", " ./мой архив.zip\n", "~/мой архив.zip"):
        assert fetch(source, tmp_path / "cache", limited, lines.append).path == roots / "мой архив.zip"


def test_unchanged_files_are_not_read_again(
    roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(roots / "мой архив.zip")
    first = fetch(source, tmp_path / "cache", limited, lines.append)
    read: list[Path] = []
    monkeypatch.setattr(local, "sha256_file", lambda path: read.append(path) or "other")
    assert fetch(source, tmp_path / "cache", limited, lines.append) == replace(first, reused=True)
    assert read == []
    assert (
        fetch(source, tmp_path / "cache", limited.model_copy(update={"refresh": True}), lines.append).sha256 == "other"
    )


def test_changed_files_are_read_again(
    roots: Path, pack: Any, tmp_path: Path, limited: ArchiveSettings, lines: list[str]
) -> None:
    path = roots / "мой архив.zip"
    before = path.stat()
    first = fetch(str(path), tmp_path / "cache", limited, lines.append)
    changed = bytearray(path.read_bytes())
    changed[100] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    second = fetch(str(path), tmp_path / "cache", limited, lines.append)
    assert second.sha256 != first.sha256
    assert not second.reused


@pytest.mark.parametrize("name", ["outside.zip", "allowed/../outside.zip", "link.zip", "allowed/link.zip", "no.zip"])
def test_outside_the_roots_is_refused_whether_it_exists_or_not(
    name: str, roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str]
) -> None:
    (tmp_path / "link.zip").symlink_to(tmp_path / "outside.zip")
    (roots / "link.zip").symlink_to(tmp_path / "outside.zip")
    with pytest.raises(ForbiddenSource, match=rf"{name}.*outside the folders.*{roots}"):
        fetch(str(tmp_path / name), tmp_path / "cache", limited, lines.append)


def test_without_roots_no_path_is_taken(
    roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str]
) -> None:
    with pytest.raises(ForbiddenSource, match="none is set"):
        fetch(str(roots / "мой архив.zip"), tmp_path, limited.model_copy(update={"allowed_roots": []}), lines.append)


def test_a_root_that_is_a_link_counts(roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str]) -> None:
    (tmp_path / "alias").symlink_to(roots)
    aliased = limited.model_copy(update={"allowed_roots": [str(tmp_path / "alias")]})
    assert fetch(str(tmp_path / "alias" / "мой архив.zip"), tmp_path / "cache", aliased, lines.append).bytes


def test_what_is_not_there(roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str]) -> None:
    (roots / "self").symlink_to(roots / "self")
    for name in ("no.zip", "мой архив.zip/inside", "self"):
        with pytest.raises(SourceNotFound, match=name):
            fetch(str(roots / name), tmp_path / "cache", limited, lines.append)
    with pytest.raises(SourceNotFound, match="no source"):
        fetch("  ", tmp_path / "cache", limited, lines.append)


def test_another_machine(tmp_path: Path, limited: ArchiveSettings, lines: list[str]) -> None:
    with pytest.raises(ForbiddenSource, match="another machine"):
        fetch("file://server/share/a.zip", tmp_path, limited, lines.append)


def test_folders_and_pipes(roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str]) -> None:
    os.mkfifo(roots / "pipe.zip")
    with pytest.raises(NotAnArchive, match="folder"):
        fetch(str(roots), tmp_path / "cache", limited, lines.append)
    with pytest.raises(NotAnArchive, match="no ordinary file"):
        fetch(str(roots / "pipe.zip"), tmp_path / "cache", limited, lines.append)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"Rar!\x1a\x07\x00rest", "RAR"),
        (b"7z\xbc\xaf\x27\x1crest", "7-Zip"),
        (b"PK\x07\x08PK\x03\x04", "split zip"),
        (b"file,label\n", "begins with 66 69 6c 65"),
        (b"\n <!DOCTYPE HTML><title>Hello</title>", "web page"),
    ],
)
def test_other_formats_are_named(
    content: bytes, problem: str, roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str]
) -> None:
    (roots / "a.zip").write_bytes(content)
    with pytest.raises(NotAnArchive, match=problem):
        fetch(str(roots / "a.zip"), tmp_path / "cache", limited, lines.append)


def test_a_truncated_copy(
    roots: Path, archive: bytes, tmp_path: Path, limited: ArchiveSettings, lines: list[str]
) -> None:
    (roots / "a.zip").write_bytes(archive[:400_000])
    with pytest.raises(Truncated, match=r"a\.zip: the zip breaks off after 400000 bytes.*upload the archive again"):
        fetch(str(roots / "a.zip"), tmp_path / "cache", limited, lines.append)


@contextmanager
def nobody() -> Iterator[None]:
    """For root, who may read everything: be someone else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_unreadable_files(
    roots: Path, tmp_path: Path, limited: ArchiveSettings, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = roots / "мой архив.zip"
    path.chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with nobody(), pytest.raises(NoPermission, match=r"архив\.zip: .*may not be read"):
        fetch(str(path), tmp_path / "cache", limited, lines.append)
    roots.chmod(0)
    try:
        with nobody(), pytest.raises(NoPermission, match=r"архив\.zip: .*may not be read"):
            fetch(str(path), tmp_path / "cache", limited, lines.append)
    finally:
        roots.chmod(0o755)


@pytest.mark.parametrize(
    ("named", "others"),
    [(None, ["{home}/archives"]), ("", ["{home}/archives"]), ("/data/a:/data/b", ["/data/a", "/data/b"])],
)
def test_what_comes_with_the_code_may_always_be_named(
    data_home: Home, monkeypatch: pytest.MonkeyPatch, named: str | None, others: list[str]
) -> None:
    """The ready configurations name companions there, whatever folders a user keeps archives in."""
    monkeypatch.delenv(ROOTS_VARIABLE, raising=False)
    if named is not None:
        monkeypatch.setenv(ROOTS_VARIABLE, named)
    samples, *roots = archive_roots(data_home)
    assert (samples / "natural.zip").is_file()
    assert list(map(str, roots)) == [root.format(home=data_home.root) for root in others]

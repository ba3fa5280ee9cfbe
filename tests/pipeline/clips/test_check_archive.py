"""`make check-archive`: the report of a zipped archive on the terminal, its exit code, and nothing left behind."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.check_archive import NOT_READ, NOT_USABLE, USABLE, main
from speech.home import Home

Rows = list[tuple[str, ...]]
SETTINGS = "ops:\n  clips:\n    config:\n      min_clips_per_class: 1\n      min_speech_seconds: 0\n"


@pytest.fixture
def zipped(
    archive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_home: Home
) -> Callable[[Rows], str]:
    """Zip an archive of these rows into the working folder; its name."""

    def make(rows: Rows) -> str:
        folder = archive(rows)
        place = tmp_path / "work"
        place.mkdir()
        monkeypatch.chdir(place)
        with zipfile.ZipFile(place / "mine.zip", "w") as file:
            for path in sorted(folder.rglob("*")):
                file.write(path, path.relative_to(folder))
        Path("run.yaml").write_text(SETTINGS)
        return "mine.zip"

    return make


def test_a_usable_archive(
    zipped: Callable[[Rows], str], balanced: Rows, data_home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--archive", zipped(balanced), "--config", "run.yaml", "--report", "kept"]) == USABLE
    printed = capsys.readouterr()
    assert "**Usable.**" in printed.out
    assert "| mine | data_train.csv | utf-8 |" in printed.out
    assert {path.name for path in Path("kept").iterdir()} == {
        "report.json",
        "report.md",
        "classes.png",
        "durations.png",
    }
    assert not data_home.registry.exists()
    assert not list(data_home.cache.glob("check-archive-*"))


def test_an_unusable_archive_is_reported_and_not_only_refused(
    zipped: Callable[[Rows], str], balanced: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: Rows = [(file, "lisp" if label == "burr" else label, speaker, "") for file, label, speaker, _ in balanced]
    assert main(["--archive", zipped(rows), "--config", "run.yaml"]) == NOT_USABLE
    printed = capsys.readouterr().out
    assert "**Not usable.**" in printed
    assert "6 of 24 rows cannot be used" in printed
    assert "unknown label 'lisp'; allowed: none (" in printed


def test_an_archive_for_pretraining(
    zipped: Callable[[Rows], str], balanced: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: Rows = [(file, "", speaker, "") for file, _, speaker, _ in balanced]
    name = zipped(rows)
    assert main(["--archive", name, "--config", "run.yaml"]) == NOT_USABLE
    assert main(["--archive", name, "--config", "run.yaml", "--pretraining"]) == USABLE


@pytest.mark.parametrize("content", [b"", b"<html>quota exceeded</html>"])
def test_what_is_no_archive(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_home: Home) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.zip").write_bytes(content)
    assert main(["--archive", "mine.zip"]) == NOT_READ


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("ops: {clips: {config: {min_secnds: 1}}}", "ops.clips.config.min_secnds"),
        ("ops: {clips: {config: {classes: [none, lisp]}}}", "'lisp' is no class"),
        ("ops: {clips: {config: 3}}", "no run configuration"),
        ("- 1", "no run configuration"),
        ("ops: {", "cannot be read"),
    ],
)
def test_a_wrong_configuration_is_refused_by_field(
    zipped: Callable[[Rows], str], balanced: Rows, capsys: pytest.CaptureFixture[str], settings: str, said: str
) -> None:
    name = zipped(balanced[:1])
    Path("run.yaml").write_text(settings)
    assert main(["--archive", name, "--config", "run.yaml"]) == NOT_READ
    assert said in capsys.readouterr().err

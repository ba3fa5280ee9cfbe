"""The command without a service: what comes out, and that a kill in the middle changes nothing of it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from calls.__main__ import main
from calls.store import FILE
from speech.home import Home
from speech.serving.pointer import publish
from tests.bundles import write_tiny_bundle
from tests.recordings import babble, encoded

ROOT = Path(__file__).parents[2]
CALLS = 16  # more than are judged at once, so that a kill always comes in the middle


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a bundle in service, and a zip of calls beside it."""
    folder = tmp_path_factory.mktemp("calls")
    home = Home(folder / "home")
    write_tiny_bundle(home, "tiny-1", seed=1)
    publish(home, "tiny-1")
    with zipfile.ZipFile(folder / "calls.zip", "w") as zipped:
        for number in range(CALLS):
            zipped.writestr(f"{number}.flac", encoded(babble(140, 4.0, seed=number, pause=1.0), "FLAC"))
        zipped.writestr("notes.txt", "call them back")
    return folder / "calls.zip"


@pytest.fixture(autouse=True)
def at_home(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNYATNO_HOME", str(archive.parent / "home"))


def arguments(source: Path, out: Path) -> list[str]:
    return [str(source), "--out", str(out), "--threads", "1", "--precision", "fp32"]


def started(source: Path, out: Path) -> subprocess.Popen[str]:
    """The command in a process of its own; `main` is the same in this one, where torch is imported already."""
    command = [sys.executable, "-m", "calls", *arguments(source, out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kept(out: Path) -> int:
    file = out / ".calls" / FILE
    if not file.exists():
        return 0
    with sqlite3.connect(file) as rows:
        if not rows.execute("SELECT 1 FROM sqlite_master WHERE name = 'windows'").fetchone():
            return 0
        return int(rows.execute("SELECT count(*) FROM windows").fetchone()[0])


@pytest.mark.system
def test_killed_and_started_again_it_gives_what_an_undisturbed_run_gives(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    process = started(archive, disturbed)
    while kept(disturbed) < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = kept(disturbed)
    assert not (disturbed / "results.jsonl").exists()
    assert main(arguments(archive, disturbed)) == 0
    said = capsys.readouterr()
    assert f"{CALLS} of {CALLS + 1} files judged" in said.out
    assert "notes.txt" in said.err
    assert main(arguments(archive, undisturbed)) == 0
    for name in ("results.jsonl", "files.csv", "windows.csv"):
        assert (disturbed / name).read_bytes() == (undisturbed / name).read_bytes()
    records = [json.loads(line) for line in (disturbed / "results.jsonl").read_text().splitlines()]
    assert [record["state"] for record in records] == ["done"] * CALLS + ["failed"]
    assert sum(len(record.get("windows", ())) for record in records) > before
    assert (disturbed / "results.xlsx").stat().st_size > 1000


def test_without_weights_words_are_refused_before_anything_is_begun(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VNYATNO_WEIGHTS", str(tmp_path))
    assert main([*arguments(archive, tmp_path / "out"), "--transcript"]) == 1
    assert "make setup" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_files_into_the_same_results_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "notes.txt").write_text("words")
    assert main(arguments(source, tmp_path / "out")) == 1  # nothing could be judged
    assert (tmp_path / "out" / "results.jsonl").exists()
    (source / "more.txt").write_text("words")
    assert main(arguments(source, tmp_path / "out")) == 1
    assert "name another folder" in capsys.readouterr().err
    assert main(arguments(tmp_path / "nothing", tmp_path / "other")) == 1
    assert "no such folder or file" in capsys.readouterr().err

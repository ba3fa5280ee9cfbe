from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.parts import ROOT


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder in which nothing is set up yet."""
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_make_alone_lists_the_targets(clone: Path) -> None:
    listed = make(clone)
    assert listed.returncode == 0
    for target in ("demo", "up", "serve", "rollback", "export", "import", "check-archive", "test", "test-all", "lock"):
        assert f"make {target} " in listed.stdout


def test_a_missing_python_is_a_clear_error(clone: Path) -> None:
    refused = make(clone, "setup", "PYTHON=python0.0")
    assert refused.returncode != 0
    assert "Vnyatno needs Python 3.11" in refused.stderr
    assert not (clone / ".venv").exists()


def test_another_python_is_a_clear_error(clone: Path) -> None:
    other = clone / "python3"
    other.write_text('#!/bin/sh\ncase "$1" in -V) echo Python 3.9.2;; *) exit 1;; esac\n')
    other.chmod(0o755)
    refused = make(clone, "setup", f"PYTHON={other}")
    assert refused.returncode != 0
    assert "Python 3.9.2" in refused.stderr
    assert not (clone / ".venv").exists()


def test_what_the_user_names_reaches_the_demo_unchanged(clone: Path) -> None:
    dry = make(clone, "--dry-run", "demo", "ARCHIVE=https://drive.google.com/file/d/a/view?usp=sharing&x=1", "KEEP=0")
    assert dry.returncode == 0
    assert "--keep '0'" in dry.stdout
    assert "--archive 'https://drive.google.com/file/d/a/view?usp=sharing&x=1'" in dry.stdout
    assert "--config" not in dry.stdout
    assert "--recipe" not in dry.stdout
    for target in ("demo", "rollback"):
        assert "--recipe 'asr'" in make(clone, "--dry-run", target, "RECIPE=asr").stdout


def test_bundles_are_exported_and_imported_by_the_names_given(clone: Path) -> None:
    out = make(clone, "--dry-run", "export", "BUNDLE=defects-1", "FILE=my bundle.zip")
    assert "speech.bundle_file export 'defects-1' 'my bundle.zip'" in out.stdout
    assert (
        "speech.bundle_file import 'my bundle.zip'" in make(clone, "--dry-run", "import", "FILE=my bundle.zip").stdout
    )
    assert "deploy.rollback" in make(clone, "--dry-run", "rollback").stdout


@pytest.mark.parametrize(
    "arguments", [("export",), ("export", "BUNDLE=defects-1"), ("export", "FILE=a.zip"), ("import",)], ids=" ".join
)
def test_export_and_import_ask_for_what_is_missing(clone: Path, arguments: tuple[str, ...]) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".packages").touch()
    refused = make(clone, *arguments)
    assert refused.returncode != 0
    assert f"make {arguments[0]} " in refused.stderr
    assert "FILE=my.zip" in refused.stderr


def test_check_archive_asks_for_the_archive(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".packages").touch()
    refused = make(clone, "check-archive")
    assert refused.returncode != 0
    assert "make check-archive ARCHIVE=my.zip" in refused.stderr


def test_keys_are_made_with_what_the_user_names(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".packages").touch()
    for target in ("key", "revoke-key"):
        refused = make(clone, target)
        assert refused.returncode != 0
        assert f"make {target} NAME=anna" in refused.stderr
    made = make(clone, "--dry-run", "key", "NAME=anna and boris", "ROLE=admin", "RATE=5").stdout
    assert "-m api.key_commands make --role 'admin' --rate '5' -- 'anna and boris'" in made
    assert "-m api.key_commands revoke -- 'anna'" in make(clone, "--dry-run", "revoke-key", "NAME=anna").stdout
    assert "-m api.key_commands list" in make(clone, "--dry-run", "keys").stdout

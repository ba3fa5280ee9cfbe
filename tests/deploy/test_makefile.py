from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.run.parts import ROOT


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder in which nothing is set up yet."""
    for name in ("Makefile", "requirements.txt", "requirements-cuda.txt"):
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


def pythons(folder: Path, **answers: str) -> dict[str, str]:
    """A PATH with the shell's tools and the named Pythons alone; each runs the line of shell it is given."""
    tools = folder / "tools"
    tools.mkdir()
    for tool in ("sh", "make", "awk", "bash"):
        if found := shutil.which(tool):
            (tools / tool).symlink_to(found)
    for name, line in answers.items():
        script = tools / name.replace("_", ".")
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)
    return {"PATH": str(tools)}


def chosen(clone: Path, environment: dict[str, str]) -> str:
    """The Python by whose name the set-up would be started."""
    dry = subprocess.run(
        ["make", "--dry-run", "setup"], cwd=clone, capture_output=True, text=True, env=environment
    ).stdout
    [line] = [line for line in dry.splitlines() if "-m deploy.install" in line]
    return Path(line.split()[0].strip('"')).name


def test_the_newest_supported_python_is_taken(clone: Path, tmp_path: Path) -> None:
    environment = pythons(tmp_path, python3_11="exit 0", python3_13="exit 0", python3_12="exit 0", python3="exit 0")
    assert chosen(clone, environment) == "python3.13"


def test_a_python_that_does_not_start_is_passed_over(clone: Path, tmp_path: Path) -> None:
    environment = pythons(tmp_path, python3_14="exit 127", python3_12="exit 1", python3="exit 0")
    assert chosen(clone, environment) == "python3"


def test_no_python_in_range_says_what_to_install(clone: Path, tmp_path: Path) -> None:
    environment = pythons(tmp_path, python3="exit 1", python3_10="exit 0")
    refused = subprocess.run(["make", "setup"], cwd=clone, capture_output=True, text=True, env=environment)
    assert refused.returncode != 0
    assert "no Python from 3.11.2 to 3.14 is on the PATH" in refused.stderr
    assert "python3-venv" in refused.stderr
    assert not (clone / ".venv").exists()


def test_the_build_of_pytorch_is_handed_on(clone: Path) -> None:
    assert "-m deploy.install --torch 'cpu'" in make(clone, "--dry-run", "setup", "TORCH=cpu").stdout
    assert "--torch" not in make(clone, "--dry-run", "setup").stdout


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
    assert "speech.bundles.transfer export 'defects-1' 'my bundle.zip'" in out.stdout
    assert (
        "speech.bundles.transfer import 'my bundle.zip'"
        in make(clone, "--dry-run", "import", "FILE=my bundle.zip").stdout
    )
    assert "deploy.commands.rollback" in make(clone, "--dry-run", "rollback").stdout


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
    assert "-m api.security.commands make --role 'admin' --rate '5' -- 'anna and boris'" in made
    assert "-m api.security.commands revoke -- 'anna'" in make(clone, "--dry-run", "revoke-key", "NAME=anna").stdout
    assert "-m api.security.commands list" in make(clone, "--dry-run", "keys").stdout


def test_the_quick_tests_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    quick = re.findall(r"tests/[\w/.]+", makefile[makefile.index("QUICK ") : makefile.index("\ncheck:")])
    assert len(quick) > 8
    assert [path for path in quick if not (ROOT / path).exists()] == []

"""The encoders that ship are in the installed package, beside the code, where a run configuration's names find them."""

from __future__ import annotations

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from setuptools import find_namespace_packages

from speech.home import code_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def setuptools_table() -> dict[str, dict[str, object]]:
    table: dict[str, dict[str, object]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return table


def test_the_package_holds_the_code_of_encoders(setuptools_table: dict[str, dict[str, object]]) -> None:
    include = setuptools_table["packages"]["find"]["include"]  # type: ignore[index]
    assert "encoders" in find_namespace_packages(str(ROOT), include=include)


def test_every_file_of_an_encoder_is_packaged(setuptools_table: dict[str, dict[str, object]]) -> None:
    patterns = setuptools_table["package-data"]["encoders"]
    tracked = subprocess.run(
        ["git", "ls-files", "encoders/*/*"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(tracked) >= 8
    left_out = [
        file
        for file in tracked
        if not any(fnmatch(Path(file).relative_to("encoders").as_posix(), str(one)) for one in patterns)  # type: ignore[attr-defined]
    ]
    assert left_out == []


def test_they_lie_beside_the_code() -> None:
    import encoders

    assert Path(encoders.__path__[0]) == code_folder() / "encoders"

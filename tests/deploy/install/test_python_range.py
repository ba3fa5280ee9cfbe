"""Which Pythons are taken stands in four places, since each is read before another could be: they must agree."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from deploy.install.environment import BEYOND, OLDEST
from deploy.install.lock_check import PYTHONS

ROOT = Path(__file__).resolve().parents[3]
OLDEST_TEXT = ".".join(map(str, OLDEST))
SERIES = [f"{BEYOND[0]}.{minor}" for minor in range(OLDEST[1], BEYOND[1])]


def makefile(variable: str) -> str:
    found = re.search(rf"^{variable}\s*[:?]?=(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found[1].strip()


def test_pyproject_takes_the_same_pythons() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={OLDEST_TEXT},<{'.'.join(map(str, BEYOND))}"


def test_make_takes_the_same_pythons() -> None:
    oldest, beyond = re.findall(r"\([\d, ]+\)", makefile("FITS"))
    assert (ast.literal_eval(oldest), ast.literal_eval(beyond)) == (OLDEST, BEYOND)
    assert makefile("SERIES").split() == SERIES[::-1]  # the newest is looked for first


def test_the_locks_are_made_for_the_oldest_and_checked_for_each_series() -> None:
    assert f"--python-version {OLDEST_TEXT} " in makefile("COMPILE")
    assert list(PYTHONS) == [OLDEST_TEXT, *SERIES[1:]]

"""Known flaws in the packages that the service runs on: `python -m deploy.commands.audit`, by pip-audit over
requirements.txt.

It asks PyPI's advisory database, so it needs the network, and it fails where it cannot ask. A flaw that is known and
accepted stands in pyproject.toml with its reason, and only until a day on which it must be looked at again:

    [[tool.vnyatno.audit.ignore]]
    id = "GHSA-xxxx-xxxx-xxxx"
    until = 2026-01-31
    reason = "only reached by ..., which the service never calls"
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speech.home import code_folder

ROOT = code_folder()
_FIELDS = {"id": str, "until": datetime.date, "reason": str}


class IgnoreListError(ValueError):
    """An entry of the ignore list cannot stand; the message names it."""


def ignored(pyproject: Path, today: datetime.date) -> list[str]:
    """Ids of the flaws that are accepted today. Raises `IgnoreListError`."""
    tools = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]
    entries = tools.get("vnyatno", {}).get("audit", {}).get("ignore", [])
    return [_accepted(entry, number, pyproject, today) for number, entry in enumerate(entries, start=1)]


def command(accepted: Sequence[str]) -> list[str]:
    """What asks. No package is resolved or built: every version is pinned, and those pins are what is installed."""
    return [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "requirements.txt")),
        *("--no-deps", "--disable-pip", "--strict", "--desc", "on", "--progress-spinner", "off"),
        *(argument for name in accepted for argument in ("--ignore-vuln", name)),
    ]


def main() -> int:
    try:
        accepted = ignored(ROOT / "pyproject.toml", datetime.datetime.now(datetime.UTC).date())
    except IgnoreListError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return subprocess.run(command(accepted)).returncode


def _accepted(entry: dict[str, Any], number: int, pyproject: Path, today: datetime.date) -> str:
    place = f"{pyproject.name}, tool.vnyatno.audit.ignore, entry {number}"
    if set(entry) != set(_FIELDS) or not all(isinstance(entry[name], kind) for name, kind in _FIELDS.items()):
        raise IgnoreListError(f"{place}: needs id, until (a date without quotes) and reason")
    if not entry["id"].strip() or not entry["reason"].strip():
        raise IgnoreListError(f"{place}: id and reason must say something")
    if entry["until"] < today:
        raise IgnoreListError(f"{place}: {entry['id']} was accepted until {entry['until']}; look at it again")
    return str(entry["id"])


if __name__ == "__main__":
    raise SystemExit(main())

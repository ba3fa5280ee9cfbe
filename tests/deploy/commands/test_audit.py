"""What is asked about known flaws. The database itself is on the network and is not asked here."""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.commands import audit
from deploy.commands.audit import IgnoreListError, command, ignored
from deploy.run.parts import ROOT

TODAY = datetime.date(2025, 6, 15)
ENTRY = '[[tool.vnyatno.audit.ignore]]\nid = "GHSA-1"\nuntil = 2025-06-15\nreason = "never called"\n'


def listed(folder: Path, text: str) -> list[str]:
    path = folder / "pyproject.toml"
    path.write_text("[tool.other]\n" + text)
    return ignored(path, TODAY)


def test_every_pin_is_asked_about_and_nothing_is_resolved() -> None:
    asked = command(["GHSA-1", "PYSEC-2"])
    assert asked[:3] == [sys.executable, "-m", "pip_audit"]
    assert asked[asked.index("--requirement") + 1] == str(ROOT / "requirements.txt")
    assert {"--no-deps", "--disable-pip", "--strict"} <= set(asked)
    assert asked[-4:] == ["--ignore-vuln", "GHSA-1", "--ignore-vuln", "PYSEC-2"]
    assert "--ignore-vuln" not in command([])
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert pins
    assert [line for line in pins if "==" not in line] == []  # what has no exact version cannot be asked about


def test_an_accepted_flaw_has_its_day_and_its_reason(tmp_path: Path) -> None:
    assert listed(tmp_path, "") == []
    assert listed(tmp_path, ENTRY + ENTRY.replace("GHSA-1", "PYSEC-2")) == ["GHSA-1", "PYSEC-2"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2025-06-15", "2025-06-14", "entry 1: GHSA-1 was accepted until 2025-06-14"),
        ('reason = "never called"\n', "", "entry 1: needs id, until"),
        ("2025-06-15", '"2025-06-15"', "a date without quotes"),
        ("never called", " ", "must say something"),
        ('"GHSA-1"', '""', "must say something"),
        ("reason", "because", "entry 1: needs id"),
    ],
)
def test_an_entry_without_them_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(IgnoreListError, match=re.escape(message)):
        listed(tmp_path, ENTRY.replace(old, new))


@pytest.mark.parametrize("code", [0, 1])
def test_a_known_flaw_fails_the_audit(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(audit, "command", lambda _: [sys.executable, "-c", f"raise SystemExit({code})"])
    assert audit.main() == code


def test_an_overdue_list_fails_the_audit_and_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(ENTRY.replace("2025", "2020"))
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked all the same"))
    assert audit.main() == 1
    assert "look at it again" in capsys.readouterr().err


def test_the_projects_own_list_can_be_read() -> None:
    ignored(ROOT / "pyproject.toml", datetime.date.min)  # whether one is overdue is the audit's business


def test_the_audit_is_pinned_and_run_weekly_and_where_packages_change() -> None:
    pins = (ROOT / "requirements-dev.txt").read_text().splitlines()
    assert len([line for line in pins if re.fullmatch(r"pip-audit==[0-9.]+", line)]) == 1
    workflow = yaml.load((ROOT / ".github" / "workflows" / "audit.yml").read_text(), yaml.BaseLoader)
    assert len(workflow["on"]["schedule"]) == 1
    for event in ("push", "pull_request"):
        assert "requirements*.txt" in workflow["on"][event]["paths"]
    assert workflow["jobs"]["audit"]["steps"][-1]["run"] == "python -m deploy.commands.audit"

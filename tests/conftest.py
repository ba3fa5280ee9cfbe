"""What every room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech.home import Home

pytest_plugins = ("tests.leftovers",)


@pytest.fixture
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty data folder, which `speech.home.home()` names too."""
    root = tmp_path / "home"
    monkeypatch.setenv("VNYATNO_HOME", str(root))
    return Home(root)

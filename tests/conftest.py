"""What every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pipeline  # noqa: F401  before any test loads Arrow: it says which allocator Arrow takes
from speech.home import Home

pytest_plugins = ("tests.leftovers",)
os.environ["VNYATNO_MIN_SPEECH_SECONDS"] = "0"  # of services that tests start: most send them tones


@pytest.fixture
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty data folder, which `speech.home.home()` names too."""
    root = tmp_path / "home"
    monkeypatch.setenv("VNYATNO_HOME", str(root))
    return Home(root)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files marked `long` come first: the last one to begin decides when several processes have done all."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)

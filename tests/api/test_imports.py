"""Which rooms of the service are light: the process that supervises the workers imports them and never ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORT_ALL = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
inner = pkgutil.walk_packages(getattr(room, "__path__", []), room.__name__ + ".")
names = [room.__name__, *(found.name for found in inner)]
for name in names:
    importlib.import_module(name)
print(len(names), *sorted({"torch", "transformers"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("room", "modules"),
    [("security", 7), ("server", 6), ("intake", 7), ("schemas", 6), ("observe", 9), ("routes", 15), ("app", 1)],
)
def test_a_light_room_loads_no_heavy_library(room: str, modules: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, f"api.{room}"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    count, *heavy = done.stdout.split()
    assert int(count) >= modules
    assert heavy == []

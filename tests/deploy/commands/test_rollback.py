from __future__ import annotations

import os

import pytest

from deploy.commands.rollback import main
from speech.home import Home
from speech.serving.history import read_history
from speech.serving.pointer import publish, read_pointer
from tests.bundles import write_tiny_bundle


def test_the_bundle_before_serves_again(data_home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, write_tiny_bundle(data_home, name).name)
    assert main([]) == 0
    assert capsys.readouterr().out == "in service: tiny-1 (before: tiny-2)\n"
    pointer = read_pointer(data_home)
    assert pointer is not None
    assert pointer.current == "tiny-1"
    assert read_history(data_home)[-1].by == "command line"


def test_where_it_cannot_it_says_why(data_home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "error: nothing is in service yet" in capsys.readouterr().err
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, write_tiny_bundle(data_home, name).name)
    os.truncate(data_home.bundles / "tiny-1" / "model.safetensors", 100)
    assert main([]) == 1
    assert "tiny-1/model.safetensors was changed or cut off" in capsys.readouterr().err


def test_each_recipe_has_a_way_back_of_its_own(data_home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, write_tiny_bundle(data_home, name).name)
    assert main(["--recipe", "asr"]) == 1
    assert "asr.yaml does not exist" in capsys.readouterr().err
    assert main(["--recipe", "defects"]) == 0

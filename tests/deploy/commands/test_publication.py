from __future__ import annotations

from pathlib import Path

import pytest

from deploy.commands.publication import main, put_into_service
from speech.bundles.defects import BundleError
from speech.bundles.gate import Gate, GateRefused
from speech.bundles.transfer import export_bundle
from speech.home import Home
from speech.serving.pointer import read_pointer
from tests.bundles import METRICS, write_tiny_bundle


def serving(home: Home) -> str | None:
    pointer = read_pointer(home)
    return pointer.current if pointer else None


def test_a_file_is_imported_and_published(data_home: Home, tmp_path: Path) -> None:
    export_bundle(write_tiny_bundle(Home(tmp_path / "elsewhere"), "tiny-1"), tmp_path / "tiny.zip")
    assert put_into_service(str(tmp_path / "tiny.zip"), data_home) == "tiny-1"
    assert serving(data_home) == "tiny-1"


def test_a_bundle_of_the_data_folder_is_published_by_its_id(data_home: Home) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    assert put_into_service("tiny-1", data_home) == "tiny-1"
    assert serving(data_home) == "tiny-1"


@pytest.mark.parametrize("name", ["nowhere.zip", "/no/such/file", "no-such-id"])
def test_what_is_not_there_is_named(data_home: Home, name: str) -> None:
    with pytest.raises(BundleError, match=name):
        put_into_service(name, data_home)
    assert serving(data_home) is None


def test_a_file_that_is_no_bundle_is_refused(
    data_home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("not a bundle")
    assert main([str(tmp_path / "notes.txt")]) == 1
    assert "notes.txt" in capsys.readouterr().err
    assert serving(data_home) is None


def test_a_bundle_that_does_not_pass_the_gate_is_refused(data_home: Home) -> None:
    write_tiny_bundle(data_home, "tiny-1", metrics=METRICS | {"macro_f1": 0.1}, gate=Gate())
    with pytest.raises(GateRefused):
        put_into_service("tiny-1", data_home)
    assert serving(data_home) is None

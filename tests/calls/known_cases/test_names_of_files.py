"""What systems leave among recordings is never judged, however the recordings came."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from calls.archive import Claim
from calls.errors import IntakeError
from calls.intake import IntakeLimits, from_files, from_folder, from_zip
from calls.sources import Sources
from speech.longform.cutter import Listening

LEFT = ["Icon\r", ".DS_Store", "Thumbs.db", "desktop.ini", "~$list.xlsx", "a.wav:Zone.Identifier"]


def test_leavings_are_passed_over_in_zips_folders_and_single_files(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    folder.mkdir()
    for name in ("a.wav", *LEFT):
        (folder / name).write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        for name in ("a.wav", *LEFT):
            zipped.writestr(f"calls/{name}", b"x")
    limits = IntakeLimits()
    assert [item.name for item in from_zip(tmp_path / "a.zip", "a.zip", limits)] == ["calls/a.wav"]
    assert [item.name for item in from_folder(folder, limits)] == ["a.wav"]
    sent = [(name, folder / name) for name in ("a.wav", *LEFT)]
    assert [item.name for item in from_files(sent, folder, limits)] == ["a.wav"]
    with pytest.raises(IntakeError, match="no file"):
        from_files(sent[1:], folder, limits)


def test_names_in_a_code_page_that_are_said_to_be_utf8_are_judged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr("a.wav", b"one")
        zipped.writestr("рот.wav", b"two")
    content = (tmp_path / "a.zip").read_bytes().replace("рот".encode(), "рот!!!".encode("cp866"))
    (tmp_path / "a.zip").write_bytes(content)
    items = from_zip(tmp_path / "a.zip", "a.zip", IntakeLimits())
    assert [(item.name, item.code) for item in items] == [("a.wav", None), ("рот!!!.wav", None)]
    (tmp_path / "batch").mkdir()
    claim = Claim("batch", 1, items[1].name, items[1].source, "b", "h", "zip", str(tmp_path / "a.zip"), Listening())
    sources = Sources(tmp_path)
    with sources.file(claim) as path:
        assert path.read_bytes() == b"two"
    sources.close()

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from speech.bundles.defects import FILES, MANIFEST, BundleError, load_bundle
from speech.bundles.transfer import export_bundle, import_bundle
from speech.defects.diagnose import diagnose
from speech.home import Home
from tests.bundles import write_tiny_bundle
from tests.recordings import hum


@pytest.fixture
def exported(data_home: Home, tmp_path: Path) -> Path:
    export_bundle(write_tiny_bundle(data_home, "tiny-1", seed=5), tmp_path / "tiny.zip")
    return tmp_path / "tiny.zip"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Home:
    return Home(tmp_path / "elsewhere")


def repacked(source: Path, target: Path, change: dict[str, bytes | None]) -> Path:
    """A copy of an exported bundle with entries replaced, added or (None) left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in {*old.namelist(), *change}:
            data = change[name] if name in change else old.read(name)
            if data is not None:
                new.writestr(name, data)
    return target


def left_behind(home: Home) -> list[Path]:
    return list(home.bundles.iterdir())


def test_an_imported_bundle_diagnoses_as_it_did_at_home(data_home: Home, exported: Path, elsewhere: Home) -> None:
    assert import_bundle(exported, elsewhere) == "tiny-1"
    clip = hum(1.0)
    here, there = (load_bundle(home.bundles / "tiny-1").model for home in (data_home, elsewhere))
    np.testing.assert_array_equal(diagnose(here, [clip])[0].logits, diagnose(there, [clip])[0].logits)


def test_importing_again_changes_nothing(exported: Path, elsewhere: Home) -> None:
    import_bundle(exported, elsewhere)
    before = (elsewhere.bundles / "tiny-1" / MANIFEST).stat().st_mtime_ns
    assert import_bundle(exported, elsewhere) == "tiny-1"
    assert (elsewhere.bundles / "tiny-1" / MANIFEST).stat().st_mtime_ns == before
    assert [path.name for path in left_behind(elsewhere)] == ["tiny-1"]


def test_another_bundle_of_the_same_name_is_left_as_it_is(exported: Path, elsewhere: Home) -> None:
    standing = write_tiny_bundle(elsewhere, "tiny-1", seed=6)
    before = (standing / MANIFEST).read_bytes()
    with pytest.raises(BundleError, match="another bundle named tiny-1"):
        import_bundle(exported, elsewhere)
    assert (standing / MANIFEST).read_bytes() == before


def test_equal_bundles_give_equal_files(data_home: Home, exported: Path, tmp_path: Path) -> None:
    export_bundle(data_home.bundles / "tiny-1", tmp_path / "again.zip")
    assert exported.read_bytes() == (tmp_path / "again.zip").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"README.md": b"another card"},
        {"metrics.json": None},
        {"extra.py": b"print()"},
        {"../outside": b"x"},
        {"/absolute": b"x"},
        {MANIFEST: b"{}"},
    ],
)
def test_a_file_that_was_tampered_with_is_refused_and_leaves_nothing(
    exported: Path, elsewhere: Home, tmp_path: Path, change: dict[str, bytes | None]
) -> None:
    with pytest.raises(BundleError):
        import_bundle(repacked(exported, tmp_path / "bad.zip", change), elsewhere)
    assert left_behind(elsewhere) == []
    assert not (elsewhere.root / "outside").exists()


def test_a_file_cut_off_or_no_zip_is_refused(exported: Path, elsewhere: Home, tmp_path: Path) -> None:
    data = exported.read_bytes()
    for content in (data[: len(data) // 2], b"", b"not a zip"):
        (tmp_path / "bad.zip").write_bytes(content)
        with pytest.raises(BundleError, match="cannot be read as an exported bundle"):
            import_bundle(tmp_path / "bad.zip", elsewhere)
    with pytest.raises(BundleError, match="cannot be read"):
        import_bundle(tmp_path / "nowhere.zip", elsewhere)
    assert left_behind(elsewhere) == []


def test_a_broken_bundle_is_not_exported(data_home: Home, tmp_path: Path) -> None:
    folder = write_tiny_bundle(data_home, "tiny-1")
    (folder / "README.md").write_text("changed")
    with pytest.raises(BundleError, match=r"README\.md"):
        export_bundle(folder, tmp_path / "out.zip")
    assert not list(tmp_path.glob("out.zip*"))


def test_the_command_line_exports_and_imports(data_home: Home, tmp_path: Path) -> None:
    write_tiny_bundle(data_home, "tiny-1")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "speech.bundles.transfer", *map(str, arguments)]
        return subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)

    assert run("export", "tiny-1", tmp_path / "tiny.zip").returncode == 0
    unwritten = run("export", "tiny-1", tmp_path / "no-such-folder" / "tiny.zip")
    assert unwritten.returncode == 1
    assert "no-such-folder" in unwritten.stderr
    assert "Traceback" not in unwritten.stderr
    shutil.rmtree(data_home.bundles)
    assert run("import", tmp_path / "tiny.zip").stdout.strip() == "tiny-1"
    assert {path.name for path in (data_home.bundles / "tiny-1").iterdir()} == {*FILES, MANIFEST}
    nowhere = run("import", tmp_path / "nowhere.zip")
    assert nowhere.returncode == 1
    assert "nowhere.zip" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr

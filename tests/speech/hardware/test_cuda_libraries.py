"""The libraries of CUDA 12 that are opened before CTranslate2 looks for them: real files, really opened."""

from __future__ import annotations

import _ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from speech.hardware.cuda_libraries import load_libraries

LOADS = """
from speech.hardware.cuda_libraries import load_libraries
print(*load_libraries(), sep="\\n")
print(open("/proc/self/maps").read())
"""


def install(site: Path, package: str, *files: str) -> None:
    """A package as pip leaves it, with files that are shared libraries of this Python."""
    info = site / f"{package.replace('-', '_')}-12.9.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 12.9.0\n")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    for name in files:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_ctypes.__file__, site / name)


def run(site: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{site}:{Path(__file__).parents[3]}"}
    return subprocess.run([sys.executable, "-c", LOADS], env=environment, capture_output=True, text=True, check=True)


def test_installed_libraries_are_opened_in_their_order(tmp_path: Path) -> None:
    folder = "nvidia/cublas/lib"
    install(tmp_path, "nvidia-cublas-cu12", f"{folder}/libcublas.so.12", f"{folder}/libcublasLt.so.12")
    install(tmp_path, "nvidia-cuda-nvrtc-cu12", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
    names = ["libnvrtc.so.12", "libcublasLt.so.12", "libcublas.so.12"]
    done = run(tmp_path).stdout
    assert [Path(line).name for line in done.splitlines()[:3]] == names
    assert all(f"{tmp_path}/nvidia/" in line for line in done.splitlines()[:3])
    for name in names:
        assert any(line.endswith(f"/lib/{name}") for line in done.splitlines()[3:]), name


@pytest.mark.parametrize("recorded", [True, False])
def test_where_none_is_installed_nothing_is_opened(tmp_path: Path, recorded: bool) -> None:
    if recorded:  # a package whose files were removed by hand
        install(tmp_path, "nvidia-cublas-cu12", "nvidia/cublas/lib/libcublas.so.12")
        (tmp_path / "nvidia/cublas/lib/libcublas.so.12").unlink()
    done = run(tmp_path)
    assert done.stdout.startswith("\n")
    assert "cublas" not in done.stdout


def test_a_damaged_library_is_said_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "nvidia-cublas-cu12", "nvidia/cublas/lib/libcublas.so.12")
    (tmp_path / "nvidia/cublas/lib/libcublas.so.12").write_bytes(b"half of it")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_libraries() == ()
    assert "libcublas.so.12 does not load: " in caplog.text

"""Which build of PyTorch a machine gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.install.errors import InstallError
from deploy.install.torch_build import CUDA_DRIVER, Driver, choose, find_driver, lock_of, unanswered
from tests.folder_server import served


def answers(_: str) -> None:
    return None


def silent(_: str) -> str:
    return "Name or service not known"


@pytest.mark.parametrize(
    ("wanted", "driver", "probe", "name", "cuda", "own_index"),
    [
        ("auto", None, answers, "cpu", False, True),
        ("auto", None, silent, "default", False, False),
        ("auto", Driver(590), silent, "cuda", True, False),
        ("auto", Driver(None), silent, "cuda", True, False),
        ("cpu", Driver(590), answers, "cpu", False, True),
        ("cuda", None, silent, "cuda", True, False),
        ("default", Driver(590), silent, "default", False, False),
        ("cu126", None, answers, "cu126", False, True),
        ("cu130", None, answers, "cu130", True, True),
    ],
)
def test_builds(
    wanted: str,
    driver: Driver | None,
    probe: Callable[[str], str | None],
    name: str,
    cuda: bool,
    own_index: bool,
) -> None:
    build = choose(wanted, driver, "http://index/whl", probe)
    assert (build.name, lock_of(build.name) == "requirements-cuda.txt") == (name, cuda)
    assert build.index == (f"http://index/whl/{name}" if own_index else None)


def test_the_large_build_is_announced_with_its_size_and_why() -> None:
    told = choose("auto", None, probe=silent).why
    assert "2.7 GB" in told
    assert "Name or service not known" in told


def test_an_old_driver_is_told_with_its_remedy() -> None:
    assert "TORCH=cu126" in choose("auto", Driver(CUDA_DRIVER - 30), probe=silent).why
    assert "TORCH=cu126" not in choose("auto", Driver(CUDA_DRIVER), probe=silent).why


@pytest.mark.parametrize("wanted", ["cpu", "cu126"])
def test_what_was_asked_for_by_name_and_cannot_be_had_is_an_error(wanted: str) -> None:
    with pytest.raises(InstallError, match=r"does not answer.*TORCH=default"):
        choose(wanted, None, probe=silent)


@pytest.mark.parametrize("wanted", ["gpu", "", "cpu ", "cu12; rm -rf"])
def test_other_names_are_refused(wanted: str) -> None:
    with pytest.raises(InstallError, match="choose cpu, cuda or default"):
        choose(wanted, None, probe=answers)


def test_drivers_are_found_by_their_files(tmp_path: Path) -> None:
    assert find_driver(tmp_path) is None
    version = tmp_path / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12\n"
    )
    assert find_driver(tmp_path) == Driver(580)
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n")
    assert find_driver(tmp_path) == Driver(535)


def test_a_driver_whose_version_cannot_be_read_is_one(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/wsl/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/wsl/lib/libcuda.so.1").touch()
    assert find_driver(tmp_path) == Driver(None)


def test_an_index_is_asked_for_torch(tmp_path: Path) -> None:
    (tmp_path / "cpu/torch").mkdir(parents=True)
    (tmp_path / "cpu/torch/index.html").write_text("<a href='x'>x</a>")
    with served(tmp_path) as index:
        assert unanswered(f"{index}/cpu") is None
        assert unanswered(f"{index}/cu126") == "it answers 404"


def test_a_closed_port_does_not_answer() -> None:
    assert "refused" in str(unanswered("http://127.0.0.1:9/whl/cpu"))

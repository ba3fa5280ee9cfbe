"""Which build of PyTorch a machine gets.

The package index carries one build for Linux, with CUDA; PyTorch's own index carries one for processors alone that is
a tenth of its size. Where no NVIDIA driver is found the small one is taken.
"""

from __future__ import annotations

import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.install.errors import PYTORCH_SAYS, InstallError

INDEX = "https://download.pytorch.org/whl"  # TORCH_INDEX names a mirror
CHOICES = "cpu, cuda or default"
CUDA_DRIVER = 580  # the least driver for CUDA 13, which the package index's build of torch 2.13 brings
CPU_SIZE = "about 0.2 GB"
CUDA_SIZE = "2.7 GB to download, 4.5 GB on disk"
_PROBE_SECONDS = 10.0

_DRIVER_VERSION = Path("proc/driver/nvidia/version")  # seen in containers and while an image is built as well
_DRIVER_FILES = (_DRIVER_VERSION, Path("dev/nvidiactl"), Path("usr/lib/wsl/lib/libcuda.so.1"))


@dataclass(frozen=True)
class TorchBuild:
    """One build of PyTorch: its name, the index it comes from (None: pip's own), and why, for the user."""

    name: str
    index: str | None
    why: str


def lock_of(build: str) -> str:
    """The lock that goes with a build of PyTorch, by its name.

    Whisper's engine loads CUDA 12's cuBLAS. PyTorch's builds for CUDA 12 bring it in their own version, those for CUDA
    13 do not.
    """
    lacks = build == "cuda" or re.fullmatch(r"cu(?!12)\d{3}", build)
    return "requirements-cuda.txt" if lacks else "requirements.txt"


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver of this machine; `version` is its major number, None where it could not be read."""

    version: int | None


def find_driver(root: Path = Path("/")) -> Driver | None:
    """The NVIDIA driver, or None where there is none. Nothing is started: a driver can hang."""
    if not any((root / file).exists() for file in _DRIVER_FILES):
        return None
    try:
        found = re.search(r"\s(\d{3,4})\.\d+", (root / _DRIVER_VERSION).read_text(errors="replace"))
    except OSError:
        found = None
    return Driver(int(found.group(1)) if found else None)


def unanswered(index: str) -> str | None:
    """Why the folder of torch on `index` cannot be read, or None if it can."""
    try:
        with urllib.request.urlopen(f"{index}/torch/", timeout=_PROBE_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return f"it answers {error.code}"
    except (OSError, ssl.SSLError) as error:  # URLError is an OSError
        return str(getattr(error, "reason", error))


def choose(
    wanted: str, driver: Driver | None, index: str = INDEX, probe: Callable[[str], str | None] = unanswered
) -> TorchBuild:
    """The build for `wanted`: `auto`, `cpu`, `cuda`, `default` or a CUDA version as PyTorch's index names it (cu126).

    `auto` never fails. What was asked for by name and cannot be had raises `InstallError`.
    """
    if wanted == "default":
        return TorchBuild("default", None, f"the package index's build, as asked for: {CUDA_SIZE}")
    if wanted == "cuda":
        return TorchBuild("cuda", None, f"with CUDA, as asked for: {CUDA_SIZE}")
    if wanted == "cpu" or re.fullmatch(r"cu\d{3}", wanted):
        own = f"{index}/{wanted}"
        if reason := probe(own):
            raise InstallError(f"PyTorch's index {own} does not answer ({reason}); {PYTORCH_SAYS}: {CUDA_SIZE}")
        return TorchBuild(wanted, own, f"{wanted} of PyTorch's index, as asked for")
    if wanted == "auto":
        return _by_machine(driver, index, probe)
    raise InstallError(f"TORCH={wanted} is no build of PyTorch; choose {CHOICES}")


def _by_machine(driver: Driver | None, index: str, probe: Callable[[str], str | None]) -> TorchBuild:
    if driver is not None:
        old = driver.version is not None and driver.version < CUDA_DRIVER
        warning = (
            f"; its driver {driver.version} is older than CUDA 13 needs ({CUDA_DRIVER}): update it, or set TORCH=cu126"
            if old
            else ""
        )
        return TorchBuild("cuda", None, f"with CUDA, for the NVIDIA card found here: {CUDA_SIZE}{warning}")
    own = f"{index}/cpu"
    if reason := probe(own):
        return TorchBuild(
            "default",
            None,
            f"the package index's build, with CUDA that is not needed here ({CUDA_SIZE}), since PyTorch's index, "
            f"which has a small one, does not answer ({reason})",
        )
    return TorchBuild("cpu", own, f"for processors alone, {CPU_SIZE}: no NVIDIA driver was found (TORCH=cuda)")

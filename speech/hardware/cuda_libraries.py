"""The CUDA 12 libraries that CTranslate2 opens by their names, found among the installed Python packages.

CTranslate2's wheels for Linux on x86-64 (4.7.1 to 4.8.5, read with `strings`) open `libcublas.so.12` when they first
multiply matrices on a card. They open nothing else of CUDA's but the driver's `libcuda.so.1`: convolutions need no
cuDNN since 4.7, and MPI and NCCL serve several cards alone. PyTorch 2.13 brings the libraries of CUDA 13. The package
nvidia-cublas-cu12 holds the ones of CUDA 12, in a folder where the loader of libraries does not look; what is loaded
already it finds by name.
"""

from __future__ import annotations

import ctypes
import logging
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from speech.hardware.card_faults import explained

log = logging.getLogger(__name__)

CUBLAS = "libcublas.so.12"
# In the order in which they need each other; cuBLAS opens the compiler itself, and does without it where it is not.
LIBRARIES = (
    ("nvidia-cuda-nvrtc-cu12", "libnvrtc.so.12"),
    ("nvidia-cublas-cu12", "libcublasLt.so.12"),
    ("nvidia-cublas-cu12", CUBLAS),
)


def load_libraries() -> tuple[Path, ...]:
    """Load those that are installed as Python packages, and say which. To be called before CTranslate2 computes on a
    card. Where none is installed, those of the system serve, if there are any."""
    loaded = []
    for package, name in LIBRARIES:
        path = _installed(package, name)
        if path is None:
            continue
        try:
            # Not RTLD_GLOBAL: the names of functions are those of PyTorch's CUDA 13, and opening by name needs it not.
            ctypes.CDLL(str(path))
        except OSError as error:
            log.warning("%s does not load: %s", path, error)
        else:
            loaded.append(path)
    return tuple(loaded)


def missing_library() -> str:
    """What CTranslate2 would miss on a card, and what to do; empty where it is found."""
    load_libraries()
    try:
        ctypes.CDLL(CUBLAS)
    except OSError:
        return explained(RuntimeError(f"Library {CUBLAS} is not found or cannot be loaded"))  # as it says itself
    return ""


def _installed(package: str, name: str) -> Path | None:
    try:
        files = distribution(package).files or ()
    except PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name == name)
    return next((path for path in found if path.is_file()), None)

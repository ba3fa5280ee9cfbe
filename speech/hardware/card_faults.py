"""Why a graphics card does not compute, from what CTranslate2, PyTorch and CUDA say; and what to do about it.

Each pattern is a message of CTranslate2 4.8, of PyTorch 2.13, or of the CUDA run time inside them. Imports neither.
"""

from __future__ import annotations

import re

INSTALL = "`make setup TORCH=cuda`"
_MEMORY = re.compile(
    r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|can't allocate memory|not enough memory: you tried to allocate", re.I
)
_CARD_MEMORY = (
    "memory is missing; `nvidia-smi` shows what holds the card's: end that, or take a smaller model or device: cpu"
)
_MEMORY_LEFT = "memory of the machine is missing; end what holds it, or take a smaller model"
_OF_CARDS = re.compile(r"CUDA|cuBLAS", re.I)
_FAULTS = (
    (
        re.compile(r"Library (?P<what>lib\S+) is not found|Cannot load symbol \S+ from library (?P<other>lib\S+)"),
        f"the library {{}} is missing; {INSTALL} installs it (package nvidia-cublas-cu12)",
    ),
    (
        re.compile(r"not compiled with CUDA"),
        f"this build of the library computes on the processor alone; {INSTALL} installs the ones for NVIDIA cards, "
        "which exist for Linux on x86-64",
    ),
    (
        re.compile(r"driver version is insufficient|NVIDIA driver on your system is too old|no NVIDIA driver", re.I),
        "the NVIDIA driver is missing or too old; install a newer one, until `nvidia-smi` lists the card (in a "
        "container: start it with --gpus all)",
    ),
    (
        re.compile(r"no CUDA-capable device|No CUDA GPUs are available", re.I),
        "no NVIDIA card is seen; `nvidia-smi` must list one, and CUDA_VISIBLE_DEVICES must not hide it",
    ),
    (
        re.compile(r"no kernel image|device kernel image is invalid"),
        "the card is too old or too new for the installed libraries; take device: cpu, or another version of them",
    ),
    (
        re.compile(r"busy or unavailable"),
        "another program holds the card alone; `nvidia-smi` shows which one, end it",
    ),
)


class CardFault(RuntimeError):
    """A graphics card on which something cannot be computed; the message says what is missing and what to do."""


def is_memory(error: BaseException) -> bool:
    """Whether memory was missing, that of the card or that of the machine; it may be free at the next try."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_MEMORY.search(str(error))))


def of_card(error: BaseException) -> bool:
    """Whether the card, its driver or its libraries are at fault, and not a model or an option."""
    said = str(error)
    return is_memory(error) or bool(_OF_CARDS.search(said)) or any(pattern.search(said) for pattern, _ in _FAULTS)


def explained(error: BaseException) -> str:
    """What is missing and how to get it, then what the library said."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    if is_memory(error):
        return f"{_CARD_MEMORY if _OF_CARDS.search(said) else _MEMORY_LEFT} ({said})"
    for pattern, remedy in _FAULTS:
        if match := pattern.search(said):
            named = next((name for name in match.groups() if name), "")
            return f"{remedy.format(named)} ({said})"
    return f"the card does not compute ({said})"

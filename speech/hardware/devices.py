"""The hardware of this machine: its graphics cards and its processor, as torch sees them.

Every decision about a device or a number format is made from a `Hardware`, so that a test can make one up. torch is
imported when the hardware is read, not with this module.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from speech.hardware.card_faults import INSTALL, explained

log = logging.getLogger(__name__)

Device = Literal["cpu", "cuda"]
_DRIVER = Path("/dev/nvidiactl")  # there where a driver runs and this process, or its container, may use it
_TENSOR_CORES = (7, 0)  # compute capability from which a card multiplies matrices faster in fp16 than in fp32


class DeviceError(RuntimeError):
    """A device that was asked for and cannot be used; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Card:
    """A CUDA graphics card. `bf16` and `fp16` say whether its hardware multiplies matrices in them; emulation does not
    count."""

    name: str
    memory_bytes: int
    bf16: bool
    fp16: bool = True

    @property
    def fastest(self) -> Literal["bf16", "fp16", "fp32"]:
        """The cheapest arithmetic in hardware; bf16 before fp16, since it overflows no sooner than fp32 does."""
        return "bf16" if self.bf16 else "fp16" if self.fp16 else "fp32"


@dataclass(frozen=True)
class Hardware:
    """What a process can compute on."""

    cards: tuple[Card, ...] = ()
    cpu_bf16: bool = False
    """Whether the processor multiplies matrices in bf16."""
    driver: bool = False
    """Whether a driver for NVIDIA cards runs, so that the machine has one, even where it cannot be used."""
    no_card: str = ""
    """Where there are no cards: why, and what to do."""

    @property
    def bf16(self) -> bool:
        """Whether there are cards and each multiplies matrices in bf16."""
        return bool(self.cards) and all(card.bf16 for card in self.cards)

    @property
    def memory_bytes(self) -> int | None:
        """Memory of the smallest card; None without one."""
        return min((card.memory_bytes for card in self.cards), default=None)


def read_hardware() -> Hardware:
    """The hardware of this machine. Computes nothing on a card."""
    import torch

    cpu_bf16 = bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    if not torch.cuda.is_available():
        return Hardware(cpu_bf16=cpu_bf16, driver=driver_runs(), no_card=_no_card(torch.version.cuda))
    cards = []
    for number in range(torch.cuda.device_count()):
        with torch.cuda.device(number):  # the next question is about the current card
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        properties = torch.cuda.get_device_properties(number)
        fp16 = (properties.major, properties.minor) >= _TENSOR_CORES
        cards.append(Card(properties.name, properties.total_memory, bf16, fp16))
    return Hardware(tuple(cards), cpu_bf16, driver=True)


def driver_runs() -> bool:
    """Whether the driver for NVIDIA cards is loaded."""
    return _DRIVER.exists()


def try_card() -> None:
    """Multiply two matrices on the card. Raises RuntimeError or AssertionError where it does not compute."""
    import torch

    ones = torch.ones(16, 16, device="cuda")
    if (total := (ones @ ones).sum().item()) != 16**3:
        raise RuntimeError(f"a product of matrices is {total} and not {16**3}")


def choose_device(
    wanted: str, read: Callable[[], Hardware] = read_hardware, attempt: Callable[[], None] = try_card
) -> Device:
    """The device for torch to compute on. `wanted` is cpu, cuda or auto: a card that computes, else the processor.

    Raises `DeviceError` where `cuda` is wanted and no card computes.
    """
    if wanted == "cpu":
        return "cpu"
    hardware = read()
    why = hardware.no_card
    if hardware.cards:
        try:
            attempt()
        except (RuntimeError, AssertionError) as error:  # what torch raises for a card; its build without one asserts
            why = explained(error)
        else:
            return "cuda"
    if wanted == "cuda":
        raise DeviceError(f"device is cuda, but {why}")
    if hardware.driver:
        log.warning("the NVIDIA card is not used, the processor computes instead: %s", why)
    return "cpu"


def release_memory() -> None:
    """Give the freed memory that torch keeps back to the card; does nothing where torch uses no card here."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _no_card(built_for: str | None) -> str:
    """Why torch sees no card; `built_for` is the version of CUDA that it was built for, or None."""
    if built_for is None:
        return f"this PyTorch computes on the processor alone; {INSTALL} installs the one for NVIDIA cards"
    return (
        f"PyTorch for CUDA {built_for} sees no NVIDIA card; `nvidia-smi` must list one, with a driver that is new "
        f"enough for CUDA {built_for} (in a container: start it with --gpus all)"
    )

"""What this machine can compute on: its graphics cards and its processor, as torch sees them.

Every decision about a device or a number format is made from a `Hardware`, so that a test can make one up. Torch is
imported when the hardware is read, not with this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_TENSOR_CORES = (7, 0)  # compute capability from which a card multiplies matrices faster in fp16 than in fp32


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
    """What a process can compute on. `no_card` says why there are no `cards`, and what to do."""

    cards: tuple[Card, ...] = ()
    cpu_bf16: bool = False
    """Whether the processor multiplies matrices in bf16."""
    no_card: str | None = None


def read_hardware() -> Hardware:
    """The hardware of this machine. Computes nothing on a card."""
    import torch

    cpu_bf16 = bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    if not torch.cuda.is_available():
        return Hardware(cpu_bf16=cpu_bf16, no_card=_no_card(torch.version.cuda))
    cards = []
    for number in range(torch.cuda.device_count()):
        with torch.cuda.device(number):  # the next question is about the current card
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        properties = torch.cuda.get_device_properties(number)
        fp16 = (properties.major, properties.minor) >= _TENSOR_CORES
        cards.append(Card(properties.name, properties.total_memory, bf16, fp16))
    return Hardware(tuple(cards), cpu_bf16)


def _no_card(built_for: str | None) -> str:
    """Why torch, `built_for` a version of CUDA or for none, sees no card."""
    if built_for is None:
        return "this PyTorch computes on the processor alone; `make setup TORCH=cuda` installs the one for NVIDIA cards"
    return (
        f"PyTorch for CUDA {built_for} sees no NVIDIA card; `nvidia-smi` must list one, with a driver that is new "
        f"enough for CUDA {built_for} (in a container: start it with --gpus all)"
    )

"""What a training may compute on, and what follows from it: device, processes, arithmetic, read-ahead.

Every decision is a plain function of `speech.hardware.devices.Hardware`, so that a machine can be made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from pipeline.settings import Device, Precision
from pipeline.training.settings import TrainingSettings
from speech.hardware.devices import Hardware, read_hardware

AHEAD = 4  # batches whose clips are changed and decoded before a GPU asks for them
_GIB = 1 << 30


class NothingToTrain(ValueError):
    """There is nothing to learn from, to choose by or to compute on; the message says what is missing."""


def on_cpu(device: Device, hardware: Hardware) -> bool:
    """Whether to compute on the CPU. Raises `NothingToTrain` where a GPU is asked for and there is none."""
    if device is Device.cuda and not hardware.cards:
        raise NothingToTrain(f"device: cuda was asked for, but {hardware.no_card or 'no GPU is seen'}; use auto or cpu")
    return device is Device.cpu or not hardware.cards


def arithmetic(wanted: Precision, hardware: Hardware, *, use_cpu: bool) -> Precision:
    """What to compute in: as asked for, and by default bf16 where the hardware multiplies matrices in it, else fp16 on
    a GPU and fp32 on a CPU. Raises `NothingToTrain` for fp16 on a CPU."""
    if wanted is Precision.fp16 and use_cpu:
        raise NothingToTrain("precision: fp16 needs a GPU; use auto, bf16 or fp32")
    if wanted is not Precision.auto:
        return wanted
    if use_cpu:
        return Precision.bf16 if hardware.cpu_bf16 else Precision.fp32
    return Precision.bf16 if hardware.bf16 else Precision.fp16


@contextmanager
def computing(wanted: Precision, device: str, hardware: Hardware | None = None) -> Iterator[Precision]:
    """What is computed within is computed as a training on the device would; on a CPU in fp32, as services do. Gives
    the arithmetic."""
    if torch.device(device).type == "cpu":
        yield Precision.fp32
        return
    computed_in = arithmetic(wanted, hardware or read_hardware(), use_cpu=False)
    half = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}.get(computed_in)
    with torch.autocast("cuda", dtype=half) if half else nullcontext():
        yield computed_in


def check_devices(settings: TrainingSettings, hardware: Hardware) -> None:
    """Raises `NothingToTrain` where more GPUs are asked for than there are, or than a batch has clips."""
    if not on_cpu(settings.device, hardware) and settings.devices > len(hardware.cards):
        raise NothingToTrain(f"devices: {settings.devices} were asked for, but {len(hardware.cards)} GPUs are seen")
    if settings.devices > settings.batch_size:
        raise NothingToTrain(
            f"devices: {settings.devices} cannot share batches of {settings.batch_size} clips; raise batch_size"
        )


def in_gib(size: float) -> str:
    """Bytes for people."""
    return f"{size / _GIB:.1f} GiB"

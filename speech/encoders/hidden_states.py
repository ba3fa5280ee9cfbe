"""An encoder's layers in one tensor, written as they are computed: in memory once, not in a tuple and stacked again.

For a minute of sound and a 300 M encoder that is 0.3 GB and not 0.6.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class _Written:
    """`hidden` (layers, batch, frames, size), made when the first layer is known."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.hidden: torch.Tensor | None = None

    def write(self, index: int, layer: torch.Tensor) -> None:
        if self.hidden is None:
            self.hidden = layer.new_empty(self.count, *layer.shape)
        self.hidden = self.hidden.to(torch.promote_types(self.hidden.dtype, layer.dtype))  # as stacking has it
        self.hidden[index] = layer


# What this thread writes to: two threads may hear by one encoder.
_WRITTEN: ContextVar[_Written | None] = ContextVar("vnyatno_layers", default=None)


def can_be_written(encoder: nn.Module) -> bool:
    """Whether `written` knows this encoder's layers; watches them from now on, which changes nothing else."""
    layers = getattr(getattr(encoder, "encoder", None), "layers", None)
    if not isinstance(encoder, PreTrainedModel) or not isinstance(layers, nn.ModuleList):
        return False
    for index, layer in enumerate(layers):
        if not any(isinstance(hook, partial) and hook.func is _write for hook in layer._forward_hooks.values()):
            layer.register_forward_hook(partial(_write, index))
    return True


def written(encode: Callable[[], Any], count: int) -> torch.Tensor:
    """What the layers hear while `encode` runs, (count, batch, frames, size): what enters the first, then what leaves
    each, as `output_hidden_states` has it. No gradient flows through it."""
    into = _Written(count)
    token = _WRITTEN.set(into)
    try:
        encode()
    finally:
        _WRITTEN.reset(token)
    assert into.hidden is not None
    return into.hidden


def _write(index: int, _: nn.Module, given: tuple[Any, ...], result: Any) -> None:
    into = _WRITTEN.get()
    if into is None:
        return
    if index == 0:
        into.write(0, given[0])
    into.write(index + 1, result[0] if isinstance(result, tuple) else result)

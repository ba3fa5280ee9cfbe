"""How many bytes of tensors are alive at once: what a training step wants of a GPU, measured on any machine.

Allocators keep more than that and kernels need space to work in; a card should have a tenth more.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TensorBytes(TorchDispatchMode):
    """Within it the storages of all tensors that operators make are counted while they live: `now`, and the `peak`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def count(self, *tensors: torch.Tensor) -> None:
        """Count tensors that were there before."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            place = storage._cdata
            if storage.nbytes() and place not in self._known:
                self._known.add(place)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._gone, place, storage.nbytes())

    def _gone(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.count(*(leaf for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)))
        return made

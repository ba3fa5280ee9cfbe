"""Questions about tensors."""

from __future__ import annotations

import torch


def finite(tensor: torch.Tensor) -> bool:
    """Whether all values are finite, told without a second tensor: `aminmax` passes on what is no number."""
    return not tensor.numel() or all(bool(value.isfinite()) for value in tensor.aminmax())

"""Ways to make class logits of frames: poolings, and one head for all frames or two that share them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from speech.defects.model import GatedHead, LayerSum


class Mean(nn.Module):
    """Mean over frames."""

    def __init__(self, layers: int, size: int, width: int, classes: int) -> None:
        super().__init__()
        self.layers = LayerSum(layers)
        self.features = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width), nn.GELU(), nn.Dropout(0.1))
        self.classes = nn.Linear(width, classes)

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        features = self.features(self.layers(hidden))
        weight = gate / gate.sum(1, keepdim=True).clamp(min=1e-6)
        return self.classes((weight.unsqueeze(-1) * features).sum(1))


class Attention(nn.Module):
    """The head that the model has; with `echo`, of frames that know what they repeat."""

    def __init__(self, layers: int, size: int, width: int, classes: int, *, echo: bool = False) -> None:
        super().__init__()
        self.head = GatedHead(layers, size, width, classes, echo=echo)

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return self.head(hidden, gate).evidence.sum(1) + self.head.classes.bias


class FrameLogits(nn.Module):
    """Class logits per frame, pooled over time: `soft` maximum, `linear` softmax or `power` pooling."""

    def __init__(self, layers: int, size: int, width: int, classes: int, pooling: str, reach: int = 5) -> None:
        super().__init__()
        self.layers = LayerSum(layers)
        self.norm = nn.LayerNorm(size)
        self.context = nn.Conv1d(size, width, reach, padding=reach // 2)
        self.drop = nn.Dropout(0.1)
        self.classes = nn.Linear(width, classes)
        self.power = nn.Parameter(torch.ones(classes))
        self.pooling = pooling

    def frames(self, hidden: torch.Tensor) -> torch.Tensor:
        features = self.context(self.norm(self.layers(hidden)).transpose(1, 2)).transpose(1, 2)
        return self.classes(self.drop(nn.functional.gelu(features)))

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        logits = self.frames(hidden)
        gate = gate.unsqueeze(-1)
        if self.pooling == "soft":
            sharpness = nn.functional.softplus(self.power)
            pooled = (gate.clamp(min=1e-6).log() + sharpness * logits).logsumexp(1)
            return (pooled - gate.sum(1).clamp(min=1e-6).log()) / sharpness
        probability = logits.softmax(-1)
        power = 1.0 if self.pooling == "linear" else nn.functional.softplus(self.power)
        weight = gate * probability.clamp(min=1e-6) ** power
        return ((weight * probability).sum(1) / weight.sum(1).clamp(min=1e-6)).clamp(min=1e-6).log()


class Two(nn.Module):
    """A head on the frames where a marker letter sounds, and one on the others; classes without letters have no
    say in the first."""

    def __init__(
        self, make: Callable[[], nn.Module], floor: float = 0.0, other: Callable[[], nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.marker, self.other, self.floor = make(), (other or make)(), floor
        self.marked: torch.Tensor
        self.register_buffer("marked", torch.tensor([1.0, 1.0, 1.0, 0.0]))

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        gate = self.floor + (1 - self.floor) * gate
        return self.marked * self.marker(hidden, gate * inside) + self.other(hidden, (1 - gate) * inside)


class One(nn.Module):
    """One head on all frames, of all layers or (`last`) of the last alone."""

    def __init__(self, make: Callable[[], nn.Module], *, last: bool = False) -> None:
        super().__init__()
        self.head, self.last = make(), last

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        return self.head(hidden[-1:] if self.last else hidden, inside)

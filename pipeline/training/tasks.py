"""What is trained: a model, its loss on a batch or on a share of one, and what validation looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import nn

Batch = dict[str, torch.Tensor]
HIDDEN = "hidden"  # of a batch: the one tensor whose clips are along its second dimension
Sums = Mapping[str, torch.Tensor]
# Batches on a GPU are as long as a whole second: of clips of up to 15 s there are fifteen shapes.
SHAPE_SAMPLES, SHAPE_FRAMES, SHAPE_STEPS = 16_000, 50, 100


class Examples(Protocol):
    """A dataset that knows how long its clips are: `lengths` in samples, or any other measure of length."""

    @property
    def lengths(self) -> list[int]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


class Task(Protocol):
    """What is trained. `encoder` is where names of the encoder's parameters begin, which learn at their own rate.

    A batch may be a share of a larger one. Then `whole` holds the sums of all shares, and their losses add up to the
    loss of the larger batch. Every tensor of a batch has its clips along the first dimension, but for `HIDDEN`.
    """

    encoder: str

    @property
    def model(self) -> nn.Module: ...

    def collate(self, items: Any) -> Batch:
        """Examples to a batch of tensors."""
        ...

    def in_few_shapes(self, batch: Batch) -> Batch:
        """The batch with padding that changes no answer, so that a GPU sees few shapes and plans each once."""
        ...

    def sums(self, model: nn.Module, batch: Batch, at_once: int | None) -> dict[str, torch.Tensor]:
        """What the loss takes its means over, in these clips; at most `at_once` are computed together."""
        ...

    def loss(self, model: nn.Module, batch: Batch, whole: Sums | None = None) -> tuple[torch.Tensor, Any]:
        """The loss of a batch, and the model's output."""
        ...

    def answers(self, output: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """What validation compares: the model's answers and the truth, both (batch, …)."""
        ...


def padded(batch: Batch, name: str, dimension: int, multiple: int) -> Batch:
    """A tensor of the batch filled up with zeros along a dimension, to a multiple of so many values."""
    value = batch[name]
    lacking = -value.shape[dimension] % multiple
    if not lacking:
        return batch
    ends = [0, 0] * (value.dim() - dimension - 1) + [0, lacking]
    return batch | {name: nn.functional.pad(value, ends)}


def clips_of(batch: Batch) -> int:
    """How many clips a batch holds."""
    return next((len(value) for name, value in batch.items() if name != HIDDEN), 0)


def parts(batch: Batch, at_once: int | None) -> Iterator[Batch]:
    """A batch in parts of at most so many clips, none of an empty one; None: in one."""
    clips = clips_of(batch)
    step = max(1, clips if at_once is None else at_once)
    if clips <= step:
        if clips:
            yield batch
        return
    for first in range(0, clips, step):
        last = first + step
        yield {name: value[:, first:last] if name == HIDDEN else value[first:last] for name, value in batch.items()}

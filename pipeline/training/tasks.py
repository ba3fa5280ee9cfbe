"""What is trained: a model, its loss on a batch or on a share of one, and what validation looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import nn

from pipeline.defects.encoder_cache import HIDDEN, HeardCollator, HeardSet
from pipeline.defects.objectives import Objective
from pipeline.training.examples import Collator, ExampleSet
from speech.defects.model import DefectModel, Frames, Output

Batch = dict[str, torch.Tensor]
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


class DefectTask:
    """A `DefectModel` with a given objective, on examples or on what its encoder heard of them."""

    encoder = "encoder."

    def __init__(self, model: DefectModel, training: ExampleSet | HeardSet, objective: Objective) -> None:
        self._model = model
        self._collator = _collator(model, training)
        self._objective = objective

    @property
    def model(self) -> DefectModel:
        return self._model

    def collate(self, items: Any) -> Batch:
        return self._collator(items)

    def in_few_shapes(self, batch: Batch) -> Batch:
        if HIDDEN in batch:
            return padded(padded(batch, HIDDEN, 2, SHAPE_FRAMES), "mask", 1, SHAPE_FRAMES)
        most = getattr(self._model.encoder, "most_samples", None)
        if not self._model.takes_mask or (most is not None and batch["sound"].shape[1] + SHAPE_SAMPLES > most):
            return batch  # what has no mask hears the padding
        return padded(batch, "sound", 1, SHAPE_SAMPLES)

    def sums(self, model: nn.Module, batch: Batch, at_once: int | None) -> dict[str, torch.Tensor]:
        frames = batch["mask"].sum(1) if HIDDEN in batch else self._model.frame_count(batch["lengths"])
        sums = {name: value.float() for name, value in self._objective.sums(batch, frames).items()}
        if self._objective.listens:
            with torch.no_grad():
                for part in parts(batch, at_once):
                    for name, value in self._objective.heard(_output(model, part)).items():
                        sums[name] = sums.get(name, 0.0) + value.float()
        return sums

    def loss(self, model: nn.Module, batch: Batch, whole: Sums | None = None) -> tuple[torch.Tensor, Output]:
        output = _output(model, batch)
        return self._objective(output, batch, whole), output

    def answers(self, output: Output, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return output.logits, batch["labels"]


def _output(model: Any, batch: Batch) -> Output:
    output: Output = (
        model.of_frames(Frames(batch[HIDDEN], batch["mask"]))
        if HIDDEN in batch
        else model(batch["sound"], batch["lengths"])
    )
    return output


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


def _collator(model: DefectModel, training: ExampleSet | HeardSet) -> Collator | HeardCollator:
    several = None if model.spec.exclusive else len(model.spec.classes)
    if isinstance(training, HeardSet):
        return HeardCollator(several)
    return Collator(len(model.spec.letters), normalise=model.spec.normalise, several=several)

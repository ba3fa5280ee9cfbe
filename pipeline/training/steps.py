"""A training step in as many parts as memory wants: the gradients are those of the whole batch, whatever it takes."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.progress import Report
from pipeline.training.sharing import processes, rank, summed
from pipeline.training.tasks import Batch, Sums, Task, clips_of, parts

# A model, a batch or a part of one, and the sums of the whole: the loss and the model's output.
Compute = Callable[[nn.Module, Batch, Sums | None], tuple[torch.Tensor, Any]]


class OutOfMemory(RuntimeError):
    """Not even one clip fits into memory; the message says what to lower."""


class Steps:
    """The computing of batches: of this process's share, and where that is too much, of parts of it.

    Where memory runs out, half as many clips are computed at once from then on. The step that failed is begun again
    from its first batch, with the random numbers it had, so that nothing is counted twice.
    """

    def __init__(self, task: Task, compute: Compute, stage: str, say: Report) -> None:
        self.at_once: int | None = None
        self._task, self._compute, self._stage, self._say = task, compute, stage, say
        self._batches: list[Batch] = []  # of the step that is not yet done
        self._wholes: list[Sums | None] = []
        self._random: Any = None

    def add(self, model: nn.Module, batch: Batch, backward: Callable[[torch.Tensor], None]) -> torch.Tensor:
        """Add a batch's gradients to those of its step, and give this process's part of its loss."""
        if not self._batches:
            self._random = _random_state()
        self._batches.append(batch)
        self._wholes.append(None)
        first = len(self._batches) - 1
        while True:
            clips = max(map(clips_of, self._batches))
            try:
                for number in range(first, len(self._batches)):
                    loss = self._add(model, number, backward)
                return loss
            except torch.OutOfMemoryError as error:
                reason = str(error)
            # Here and not above, where the error still holds what was computed.
            self._halve(clips, reason)
            model.zero_grad()
            _restore(self._random)
            first = 0

    def done(self) -> None:
        """The step is done; the next batch begins another."""
        self._batches, self._wholes = [], []

    @torch.no_grad()
    def judged(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """Of a validation batch this process's part of the loss, and of each part answers and truth."""
        whole: Sums | None = None
        while True:
            try:
                if whole is None:
                    whole = self._whole(model, batch)
                losses, answers, truth = [], [], []
                for part in parts(batch, self.at_once):
                    loss, output = self._compute(model, part, whole)
                    said, true = self._task.answers(output, part)
                    losses.append(loss.detach().float())
                    answers.append(said.detach().float() if said.is_floating_point() else said.detach())
                    truth.append(true)
                return sum(losses, torch.zeros((), device=_device(model))), answers, truth
            except torch.OutOfMemoryError as error:
                reason = str(error)
            self._halve(clips_of(batch), reason)

    def _add(self, model: nn.Module, number: int, backward: Callable[[torch.Tensor], None]) -> torch.Tensor:
        batch = self._batches[number]
        if self._wholes[number] is None:  # once: the other processes take part in it
            self._wholes[number] = self._whole(model, batch)
        total = torch.zeros((), device=_device(model))
        for part in parts(batch, self.at_once):
            loss, _ = self._compute(model, part, self._wholes[number])
            total = total + loss.detach()
            backward(loss)
            del loss
        return total

    def _whole(self, model: nn.Module, batch: Batch) -> Sums | None:
        """None where the batch is computed here and at once: then its own means are right."""
        if processes() == 1 and (self.at_once is None or clips_of(batch) <= self.at_once):
            return None
        return summed(self._task.sums(model, batch, self.at_once) if clips_of(batch) else {})

    def _halve(self, clips: int, reason: str) -> None:
        at_once = min(clips, self.at_once or clips)
        if at_once <= 1:
            raise OutOfMemory(f"{self._stage}: one clip alone does not fit into memory {too_much(reason)}")
        self.at_once = (at_once + 1) // 2
        where = f", on device {rank()}" if processes() > 1 else ""
        self._say(
            f"{self._stage}: out of memory with {at_once} clips at once{where}; this step is done again and training "
            f"goes on with {self.at_once} at once, which gives the same batches in more parts"
        )
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def too_much(reason: str) -> str:
    """Why memory ran out, and what to lower."""
    return (
        f"({reason.splitlines()[0][:200]}); set gradient_checkpointing: true, lower max_crop_seconds (asr_clips: "
        "max_seconds), take a smaller encoder or end what else uses the device"
    )


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _random_state() -> tuple[Any, ...]:
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    return torch.get_rng_state(), np.random.get_state(), cuda


def _restore(state: tuple[Any, ...]) -> None:
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    if state[2] is not None:
        torch.cuda.set_rng_state(state[2])

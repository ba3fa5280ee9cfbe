"""The defect model as a training sees it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pipeline.defects.encoder_cache import HiddenStateCollator, HiddenStateSet
from pipeline.defects.objectives import Objective
from pipeline.training.examples import Collator, ExampleSet
from pipeline.training.tasks import HIDDEN, SHAPE_FRAMES, SHAPE_SAMPLES, Batch, Sums, padded, parts
from speech.defects.model import DefectModel, Frames, Output


class DefectTask:
    """A `DefectModel` with a given objective, on examples or on what its encoder heard of them."""

    encoder = "encoder."

    def __init__(self, model: DefectModel, training: ExampleSet | HiddenStateSet, objective: Objective) -> None:
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


def _collator(model: DefectModel, training: ExampleSet | HiddenStateSet) -> Collator | HiddenStateCollator:
    several = None if model.spec.exclusive else len(model.spec.classes)
    if isinstance(training, HiddenStateSet):
        return HiddenStateCollator(several)
    return Collator(len(model.spec.letters), normalise=model.spec.normalise, several=several)

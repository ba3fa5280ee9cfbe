"""A training that was killed and goes on ends with the very weights of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from pipeline.defects.finetuning import finetune
from pipeline.defects.pretraining import start_model
from pipeline.training.order import EpochOrder
from pipeline.training.stopping import EarlyStopping
from pipeline.training.trainer import TrainingRun
from speech.defects.model import DefectModel
from tests.pipeline.training.test_training import (
    ARCHITECTURE,
    CLASSES,
    LETTERS,
    MARKED,
    encoder_settings,
    example,
    head_settings,
    ignore,
)

pytestmark = pytest.mark.long

CLIPS = [example(number) for number in range(15)]
UNHEARD = [example(number) for number in range(100, 106)]
EPOCHS = 3


class Killed(Exception):
    """What ends a training in the middle."""


def trained(folder: Path, end: int | None = None, **changes: Any) -> tuple[DefectModel, TrainingRun]:
    """Train an encoder that hides and drops at random; `end`: the step at which it is killed."""

    def metrics(figures: dict[str, float], step: int) -> None:
        if end is not None and step >= end and "loss" in figures:
            raise Killed

    keep_best = changes.pop("keep_best", False)
    settings = head_settings(epochs=EPOCHS, batch_size=4, validations_per_epoch=2, **changes)
    torch.manual_seed(7)
    architecture = ARCHITECTURE | {"mask_time_prob": 0.2, "mask_time_length": 2}
    model = start_model(encoder_settings(architecture=architecture), CLASSES, LETTERS, MARKED)
    run = finetune(model, CLIPS, UNHEARD, settings, folder, ignore, metrics, keep_best=keep_best)
    return model, run


def killed_once(folder: Path, end: int, **changes: Any) -> tuple[DefectModel, TrainingRun]:
    with pytest.raises(Killed):
        trained(folder, end, **changes)
    assert list(folder.glob("checkpoint-*"))
    return trained(folder, **changes)


@pytest.mark.parametrize(
    ("end", "changes"),
    [
        (7, {"frozen_epochs": 1.0}),  # of four steps an epoch: in the second, from a checkpoint in its middle
        (9, {"augment": False, "keep_best": True}),  # in the third, from a checkpoint at the end of the second
        (5, {"augment": False, "accumulation": 2}),
    ],
)
def test_a_killed_training_ends_as_if_it_had_not_been(tmp_path: Path, end: int, changes: dict[str, Any]) -> None:
    whole, run = trained(tmp_path / "whole", **changes)
    again, run_again = killed_once(tmp_path / "killed", end, **changes)
    assert run_again.steps == run.steps
    assert run_again.best == run.best
    for (name, tensor), (_, other) in zip(whole.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(tensor, other), name


def test_an_epochs_order_follows_from_seed_and_epoch_alone() -> None:
    lengths = [100 + 7 * number % 60 for number in range(50)]
    through = EpochOrder(4, lengths, seed=3)
    orders = []
    for epoch in range(4):
        through.set_epoch(epoch)
        orders.append(list(through))
    assert len({tuple(order) for order in orders}) == 4
    for epoch in (3, 0, 2, 2):
        resumed = EpochOrder(4, lengths, seed=3)
        for order in (resumed, through):
            order.set_epoch(epoch)
            assert list(order) == orders[epoch]


@pytest.mark.parametrize(("without_a_gain", "stops"), [(0, False), (2, False), (3, True)])
def test_a_training_that_had_ended_does_not_begin_again(tmp_path: Path, without_a_gain: int, stops: bool) -> None:
    stopping = EarlyStopping(3)
    stopping.early_stopping_patience_counter = without_a_gain
    arguments = TrainingArguments(
        str(tmp_path),
        eval_strategy="steps",
        eval_steps=1,
        save_steps=1,
        metric_for_best_model="eval_loss",
        use_cpu=True,
    )
    control = stopping.on_train_begin(arguments, TrainerState(), TrainerControl())
    assert control.should_training_stop is stops

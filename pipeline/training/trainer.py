"""transformers.Trainer as both recipes use it: two learning rates, clips of like length, checkpoints to go on from,
as many processes as there are devices, and as many parts of a batch as memory wants.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.data_loader import DataLoaderShard
from torch import nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import EvalPrediction, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from pipeline.progress import Metrics, Report
from pipeline.settings import Precision
from pipeline.training.arguments import trainer_arguments
from pipeline.training.attention import written_out
from pipeline.training.callbacks import ProgressCallback
from pipeline.training.checkpoints import last_checkpoint
from pipeline.training.convolution import exact_convolutions
from pipeline.training.hardware import AHEAD, NothingToTrain
from pipeline.training.memory import checkpoints_layers, layers_twice
from pipeline.training.optimizer import adamw
from pipeline.training.order import EpochOrder
from pipeline.training.settings import TrainingSettings
from pipeline.training.sharing import Shares, gathered, processes, rank, start_alike, sum_gradients, wait
from pipeline.training.steps import OutOfMemory, Steps, too_much
from pipeline.training.stopping import EarlyStopping
from pipeline.training.tasks import Batch, Examples, Sums, Task
from speech.hardware.devices import Hardware, read_hardware


@dataclass(frozen=True)
class TrainingRun:
    """What a training left: the Trainer's log (a dict per line), the best validation figure, and the steps done."""

    history: list[dict[str, float]]
    best: float | None
    steps: int


class TaskTrainer(Trainer):
    """Trains a `Task`; the encoder learns at its own rate.

    Of several processes each computes its share of every batch (`pipeline.training.sharing`), whatever the size of a
    batch is called per device: order, steps, schedule, figures and checkpoints are those of one process.
    """

    def __init__(
        self,
        task: Task,
        training: Examples,
        settings: TrainingSettings,
        *,
        stage: str = "training",
        say: Report = print,
        **arguments: Any,
    ) -> None:
        collate = _collate(task, few_shapes=arguments["args"].device.type == "cuda")
        super().__init__(model=task.model, train_dataset=training, data_collator=collate, **arguments)
        self._task, self._training = task, training
        self._settings = settings
        self._steps = Steps(task, self._compute, stage, say)
        # A recogniser's model divides by all batches of a step, also in an epoch's last one, which may have fewer.
        self._divides_by_all = self.model_accepts_loss_kwargs
        self.model_accepts_loss_kwargs = False

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        # Shares are made, gathered and added up here; a DistributedDataParallel would do so a second time.
        self.accelerator.prepare_model = partial(self.accelerator.prepare_model, evaluation_mode=True)
        self.accelerator.gather_for_metrics = _as_it_is
        self.gather_function = _as_it_is

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        loss, output = self._compute(model, inputs, None)
        return (loss, output) if return_outputs else loss

    def _compute(self, model: nn.Module, batch: Batch, whole: Sums | None) -> tuple[torch.Tensor, Any]:
        with self.compute_loss_context_manager():
            return self._task.loss(model, batch, whole)

    def training_step(
        self, model: nn.Module, inputs: Batch, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """The gradients of this process's share; with a step's last batch those of all processes."""
        model.train()
        batches = self.args.gradient_accumulation_steps if self._divides_by_all else self._batches_in_step
        batch: Any = self._prepare_input(inputs)
        loss = self._steps.add(model, batch, lambda part: self.accelerator.backward(part / batches))
        if self.accelerator.sync_gradients:
            sum_gradients(model)
            self._steps.done()
        return loss / batches * processes()  # the Trainer takes the mean over processes

    @property
    def _batches_in_step(self) -> int:
        return int(self.current_gradient_accumulation_steps)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: Batch,
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        # A loss a clip: the Trainer takes the mean over all it is given, and the last batch may be a short one.
        batch: Any = self._prepare_input(inputs)
        loss, answers, truth = self._steps.judged(model, batch)
        if processes() == 1:
            said, true = torch.cat(answers), torch.cat(truth)
            return loss.expand(len(said)), said, true
        shares = gathered((loss.cpu(), [one.cpu() for one in answers], [one.cpu() for one in truth]))
        losses = torch.stack([share[0] for share in shares]).sum()
        said, true = (
            _interleaved([torch.cat(share[part]) if share[part] else None for share in shares]) for part in (1, 2)
        )
        return losses.expand(len(said)), said, true

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = adamw(self._task, self._settings)
        return self.optimizer

    def get_train_dataloader(self) -> Any:
        return self._loader(self._training, self._get_train_sampler(), AHEAD if self.args.device.type == "cuda" else 0)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        dataset: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        return self._loader(dataset, SequentialSampler(dataset), 0)

    def _loader(self, dataset: Any, sampler: Sampler[int], ahead: int) -> Any:
        return DataLoaderShard(
            dataset,
            device=self.args.device,
            batch_sampler=Shares(sampler, self._settings.batch_size, getattr(dataset, "expect", None), ahead),
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return EpochOrder(self._settings.batch_size, self._training.lengths, self.args.seed)

    def _load_best_model(self) -> None:
        wait()  # for the process that writes it
        super()._load_best_model()


def _collate(task: Task, *, few_shapes: bool) -> Callable[[Any], Batch]:
    def collate(items: Any) -> Batch:
        if not items:  # an empty share
            return {}
        batch = task.collate(items)
        return task.in_few_shapes(batch) if few_shapes else batch

    return collate


def _as_it_is(value: Any, **_: Any) -> Any:
    """What every process has whole needs no gathering."""
    return value


def _interleaved(shares: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """The clips of a batch in their order, of the shares that `Shares` made of it."""
    there = [share for share in shares if share is not None]
    whole = there[0].new_empty((sum(map(len, there)), *there[0].shape[1:]))
    for number, share in enumerate(shares):
        if share is not None:
            whole[number :: len(shares)] = share
    return whole


def fit(
    task: Task,
    training: Examples,
    validation: Examples,
    settings: TrainingSettings,
    folder: Path,
    *,
    stage: str,
    best_by: str,
    report: Report,
    metrics: Metrics,
    judge: Callable[[EvalPrediction], dict[str, float]] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    keep_best: bool = True,
    lower_is_better: bool = False,
    longest_seconds: float | None = None,
    hardware: Hardware | None = None,
) -> TrainingRun:
    """Train the task's model in place and leave it with its best weights, by the validation figure `best_by`, or with
    its last ones where nothing is to choose by: `validation` is then not looked at.

    `longest_seconds`: of sound in one example; None where examples hold none. `folder` holds the checkpoints; where an
    interrupted training left whole ones there, it goes on from the last. `hardware` is the machine's where not given.
    Trains with the processes that there are: `pipeline.training.devices` starts several.
    Raises `NothingToTrain`, ArithmeticError where the loss is no longer finite, and
    `pipeline.training.steps.OutOfMemory` where not even one clip fits.
    """
    need_clips(stage, len(training), len(validation) if keep_best else None)
    hardware = hardware or read_hardware()
    arguments = trainer_arguments(
        len(training), settings, folder, best_by if keep_best else None, lower_is_better, hardware
    )
    first = rank() == 0
    trainer = TaskTrainer(
        task,
        training,
        settings,
        stage=stage,
        say=report,
        args=arguments,
        eval_dataset=validation if keep_best else None,
        compute_metrics=judge,
        callbacks=[
            *([EarlyStopping(settings.patience * settings.validations_per_epoch)] if keep_best else []),
            *([ProgressCallback(stage, report, metrics)] if first else []),
            *callbacks,
        ],
    )
    trainer.remove_callback(PrinterCallback)  # it prints every figure to standard output
    start_alike(task.model)
    if not first:  # what is dropped and hidden differs between clips, and so between processes
        torch.manual_seed(settings.seed + rank())
        np.random.seed(settings.seed + rank())
    last = gathered(last_checkpoint(folder) if first else None)[0]
    if last is not None and first:
        report(f"{stage}: going on from {last.name}")
    with ExitStack() as during:
        if arguments.use_cpu and arguments.bf16:
            during.enter_context(exact_convolutions(task.model))
            if longest_seconds is not None:
                during.enter_context(written_out(task.model, longest_seconds, settings.batch_size))
        computed_in = Precision.bf16 if arguments.bf16 else Precision.fp16 if arguments.fp16 else Precision.fp32
        twice, why = checkpoints_layers(settings, task.model, longest_seconds, computed_in, hardware)
        if twice:
            during.enter_context(layers_twice(task.model))
        if why and first:
            report(f"{stage}: {why}")
        try:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        except torch.OutOfMemoryError as error:  # beyond the clips: the optimiser's moments, say
            raise OutOfMemory(f"{stage}: out of memory {too_much(str(error))}") from error
    history = [{k: v for k, v in line.items() if isinstance(v, int | float)} for line in trainer.state.log_history]
    losses = [line["loss"] for line in history if "loss" in line]
    if losses and not math.isfinite(losses[-1]):
        raise ArithmeticError(f"{stage}: the loss is no longer finite; lower learning_rate or use precision fp32")
    best = trainer.state.best_metric
    steps = trainer.state.global_step
    del trainer
    wait()  # for those that still read
    for checkpoint in folder.glob("checkpoint-*") if first else ():
        shutil.rmtree(checkpoint)
    return TrainingRun(history, best, steps)


def need_clips(stage: str, training: int, validation: int | None) -> None:
    """Raises `NothingToTrain` where a split has no clip; None: validation is not looked at."""
    if not training or validation == 0:
        side = "training" if not training else "validation"
        raise NothingToTrain(f"{stage}: no usable clip in the {side} split; see the report of the stages before")

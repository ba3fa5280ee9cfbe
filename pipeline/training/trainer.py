"""transformers.Trainer as both recipes use it: two learning rates, clips of like length, checkpoints to go on from.

What is trained is a `Task`: a model, its loss, and what validation looks at. `DefectTask` is that of the defect model.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.utils.data import Sampler
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from pipeline.progress import Metrics, Report
from pipeline.settings import Device, Precision, TrainingSettings
from pipeline.training.attention import written_out
from pipeline.training.examples import Collator, ExampleSet
from pipeline.training.heard import HeardCollator, HeardSet
from pipeline.training.progress import ProgressCallback
from speech.model import DefectModel, Frames, Output

LossOf = Callable[[Output, dict[str, torch.Tensor]], torch.Tensor]


class NothingToTrain(ValueError):
    """There are no examples to learn from or to choose by; the message says what is missing."""


@dataclass(frozen=True)
class TrainingRun:
    """What a training left: the Trainer's log (a dict per line), the best validation figure, and the steps done."""

    history: list[dict[str, float]]
    best: float | None
    steps: int


class Examples(Protocol):
    """A dataset that knows how long its clips are: `lengths` in samples, or any other measure of length."""

    @property
    def lengths(self) -> list[int]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


Batch = dict[str, torch.Tensor]


class Task(Protocol):
    """What is trained. `encoder` is where names of the encoder's parameters begin, which learn at their own rate."""

    encoder: str

    @property
    def model(self) -> nn.Module: ...

    def collate(self, items: Any) -> Batch:
        """Examples to a batch of tensors."""
        ...

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Any]:
        """The loss of a batch, and the model's output."""
        ...

    def answers(self, output: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """What validation compares: the model's answers and the truth, both (batch, …)."""
        ...


class DefectTask:
    """A `DefectModel` with a given loss, on examples or on what its encoder heard of them."""

    encoder = "encoder."

    def __init__(self, model: DefectModel, training: ExampleSet | HeardSet, loss_of: LossOf) -> None:
        self._model = model
        self._collator = _collator(model, training)
        self._loss_of = loss_of

    @property
    def model(self) -> DefectModel:
        return self._model

    def collate(self, items: Any) -> Batch:
        return self._collator(items)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Output]:
        if "hidden" in batch:  # of `pipeline.training.heard`
            output = self.model.of_frames(Frames(batch["hidden"], batch["mask"]))
        else:
            output = self.model(batch["sound"], batch["lengths"])
        return self._loss_of(output, batch), output

    def answers(self, output: Output, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return output.logits, batch["labels"]


class TaskTrainer(Trainer):
    """Trains a `Task`; the encoder learns at its own rate."""

    def __init__(self, task: Task, training: Examples, settings: TrainingSettings, **arguments: Any) -> None:
        super().__init__(model=task.model, train_dataset=training, data_collator=task.collate, **arguments)
        self._task, self._training = task, training
        self._settings = settings

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        loss, output = self._task.loss(inputs)
        if num_items_in_batch is not None:  # the Trainer then expects the caller to share it out over the steps
            loss = loss / self.args.gradient_accumulation_steps
        return (loss, output) if return_outputs else loss

    def prediction_step(
        self,
        model: nn.Module,
        inputs: Batch,
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, output = self.compute_loss(model, inputs, return_outputs=True)
        answers, truth = self._task.answers(output, inputs)
        answers = answers.detach()
        return loss.detach(), answers.float() if answers.is_floating_point() else answers, truth

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            learning = [(n, p) for n, p in self._task.model.named_parameters() if p.requires_grad]
            encoder = [p for n, p in learning if n.startswith(self._task.encoder)]
            heads = [p for n, p in learning if not n.startswith(self._task.encoder)]
            groups = [{"params": heads, "lr": self._settings.head_learning_rate}]
            if encoder:
                groups.append({"params": encoder, "lr": self._settings.learning_rate})
            self.optimizer = torch.optim.AdamW(groups, weight_decay=self.args.weight_decay, fused=True)
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        """Clips of like length share a batch: less padding, and padding costs as much as sound."""
        generator = torch.Generator().manual_seed(self.args.seed)
        lengths = self._training.lengths
        return LengthGroupedSampler(self.args.train_batch_size, lengths=lengths, generator=generator)


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
    choose: bool = True,
    lower_is_better: bool = False,
    longest_seconds: float | None = None,
) -> TrainingRun:
    """Train the task's model in place and leave it with its best weights, by the validation figure `best_by`, or with
    its last ones where nothing is to `choose` by: `validation` is then not looked at.

    `longest_seconds`: of sound in one example; None where examples hold none. `folder` holds the checkpoints; where an
    interrupted training left whole ones there, it goes on from the last.
    Raises `NothingToTrain`, and ArithmeticError where the loss is no longer finite.
    """
    need_clips(stage, len(training), len(validation) if choose else None)
    arguments = _arguments(len(training), settings, folder, best_by if choose else None, lower_is_better)
    trainer = TaskTrainer(
        task,
        training,
        settings,
        args=arguments,
        eval_dataset=validation if choose else None,
        compute_metrics=judge,
        callbacks=[
            *([EarlyStoppingCallback(settings.patience * settings.validations_per_epoch)] if choose else []),
            ProgressCallback(stage, report, metrics),
            *callbacks,
        ],
    )
    trainer.remove_callback(PrinterCallback)  # it prints every figure to standard output
    last = last_checkpoint(folder)
    if last is not None:
        report(f"{stage}: going on from {last.name}")
    with ExitStack() as during:
        if arguments.use_cpu and arguments.bf16 and longest_seconds is not None:
            during.enter_context(written_out(task.model, longest_seconds, settings.batch_size))
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    history = [{k: v for k, v in line.items() if isinstance(v, int | float)} for line in trainer.state.log_history]
    losses = [line["loss"] for line in history if "loss" in line]
    if losses and not math.isfinite(losses[-1]):
        raise ArithmeticError(f"{stage}: the loss is no longer finite; lower learning_rate or use precision fp32")
    best = trainer.state.best_metric
    steps = trainer.state.global_step
    del trainer
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    return TrainingRun(history, best, steps)


def need_clips(stage: str, training: int, validation: int | None) -> None:
    """Raises `NothingToTrain` where a split has no clip; None: validation is not looked at."""
    if not training or validation == 0:
        side = "training" if not training else "validation"
        raise NothingToTrain(f"{stage}: no usable clip in the {side} split; see the report of the stages before")


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; those that a kill cut off are removed."""
    whole: dict[int, Path] = {}
    for checkpoint in folder.glob("checkpoint-*"):
        if _is_whole(checkpoint):
            whole[int(checkpoint.name.rpartition("-")[2])] = checkpoint
        else:
            shutil.rmtree(checkpoint)
    return whole[max(whole)] if whole else None


def _is_whole(checkpoint: Path) -> bool:
    """The Trainer writes its state last, so a checkpoint with a readable one is whole."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        with safe_open(checkpoint / "model.safetensors", framework="pt"):
            pass
    except (OSError, ValueError, SafetensorError):
        return False
    return (checkpoint / "optimizer.pt").exists() and (checkpoint / "scheduler.pt").exists()


def _collator(model: DefectModel, training: ExampleSet | HeardSet) -> Collator | HeardCollator:
    several = None if model.spec.exclusive else len(model.spec.classes)
    if isinstance(training, HeardSet):
        return HeardCollator(several)
    return Collator(len(model.spec.letters), normalise=model.spec.normalise, several=several)


def _arguments(
    examples: int, settings: TrainingSettings, folder: Path, best_by: str | None, lower_is_better: bool
) -> TrainingArguments:
    steps = math.ceil(math.ceil(examples / settings.batch_size) / settings.accumulation)
    every = max(1, math.ceil(steps / settings.validations_per_epoch))
    total = math.ceil(steps * settings.epochs)
    use_cpu = on_cpu(settings)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup(total),
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        max_grad_norm=1.0,
        bf16=uses_bf16(settings.precision, use_cpu=use_cpu),
        use_cpu=use_cpu,
        seed=settings.seed,
        data_seed=settings.seed,
        eval_strategy="steps" if best_by else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=max(1, every // 4),
        logging_nan_inf_filter=False,
        load_best_model_at_end=best_by is not None,
        metric_for_best_model=best_by,
        greater_is_better=best_by is not None and not (lower_is_better or best_by.endswith("loss")),
        remove_unused_columns=False,
        label_names=["labels"],
        report_to=[],
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=not use_cpu,
    )


def on_cpu(settings: TrainingSettings) -> bool:
    """Whether to train on the CPU. Raises `NothingToTrain` where a GPU is asked for and there is none."""
    if settings.device is Device.cuda and not torch.cuda.is_available():
        raise NothingToTrain("device: cuda was asked for, but no GPU is seen; use auto or cpu")
    return settings.device is Device.cpu or not torch.cuda.is_available()


def uses_bf16(precision: Precision, *, use_cpu: bool) -> bool:
    """Whether to train in bf16: as asked for, and by default where the hardware multiplies matrices in it."""
    if precision is not Precision.auto:
        return precision is Precision.bf16
    if use_cpu:
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return torch.cuda.is_bf16_supported()

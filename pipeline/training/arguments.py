"""Settings of a training as transformers.Trainer takes them."""

from __future__ import annotations

import math
from pathlib import Path

from transformers import TrainingArguments

from pipeline.settings import Precision
from pipeline.training.hardware import NothingToTrain, arithmetic, check_devices, on_cpu
from pipeline.training.settings import TrainingSettings
from pipeline.training.sharing import processes
from speech.hardware.devices import Hardware


def trainer_arguments(
    examples: int,
    settings: TrainingSettings,
    folder: Path,
    best_by: str | None,
    lower_is_better: bool,
    hardware: Hardware,
) -> TrainingArguments:
    """The arguments of a training on so many `examples` with checkpoints in `folder`; `best_by`: the validation figure
    that chooses the weights, None where nothing is validated. Raises `NothingToTrain` where the processes are not as
    many as the devices."""
    check_devices(settings, hardware)
    steps = math.ceil(math.ceil(examples / settings.batch_size) / settings.accumulation)
    every = max(1, math.ceil(steps / settings.validations_per_epoch))
    total = math.ceil(steps * settings.epochs)
    use_cpu = on_cpu(settings.device, hardware)
    computed_in = arithmetic(settings.precision, hardware, use_cpu=use_cpu)
    share = math.ceil(settings.batch_size / settings.devices)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=share,
        per_device_eval_batch_size=share,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup(total),
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        max_grad_norm=1.0,
        bf16=computed_in is Precision.bf16,
        fp16=computed_in is Precision.fp16,
        use_cpu=use_cpu,
        seed=settings.seed,
        data_seed=settings.seed,
        eval_strategy="steps" if best_by else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        restore_callback_states_from_checkpoint=True,
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
    if processes() != settings.devices:
        raise NothingToTrain(
            f"devices: {settings.devices}, but this training runs in {processes()} processes; start it with "
            "pipeline.training.devices"
        )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # one process, one GPU: with more the Trainer takes DataParallel
    return arguments

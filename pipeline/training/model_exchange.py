"""How a model gets to the processes of a training on several devices, and back: as folders of weights.

The processes share no memory. Each builds data and model anew from folders; the first one leaves what was trained.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.progress import Metrics, Report
from pipeline.training.devices import LAUNCH, launch
from pipeline.training.hardware import check_devices, on_cpu
from pipeline.training.settings import TrainingSettings
from pipeline.training.sharing import join, rank
from pipeline.training.trainer import TrainingRun
from speech.hardware.devices import read_hardware

_START, _TRAINED = "start", "trained"


def train_on_devices(
    share: str,
    arguments: Mapping[str, Any],
    settings: TrainingSettings,
    folder: Path,
    save: Callable[[Path], None],
    load: Callable[[Path], None],
    report: Report,
    metrics: Metrics,
) -> TrainingRun:
    """Train in `settings.devices` processes that each call `share`, a function by its name (`module:function`).

    `share` is called with `arguments`, `between`, `folder`, `settings`, `report` and `metrics`, and returns
    `end_share`'s answer. `save` writes the model that training begins with to a folder, `load` takes over the weights
    of the trained one. Raises as `pipeline.training.devices.launch` does.
    """
    check_devices(settings, read_hardware())
    between = folder / LAUNCH
    start = between / _START
    start.mkdir(parents=True, exist_ok=True)
    save(start)
    common = {"between": str(between), "folder": str(folder), "settings": settings.model_dump(mode="json")}
    run = launch(share, {**arguments, **common}, between, settings.devices, report, metrics)
    load(between / _TRAINED)
    shutil.rmtree(between)
    return TrainingRun(**run)


def begin_share(settings: TrainingSettings, between: str) -> Path:
    """In a process: join the others; the folder of the model to begin with."""
    join(use_cpu=on_cpu(settings.device, read_hardware()))
    return Path(between) / _START


def end_share(run: TrainingRun, between: str, save: Callable[[Path], None]) -> dict[str, Any]:
    """In a process: what it returns; the first one saves the trained model."""
    if rank() == 0:
        trained = Path(between) / _TRAINED
        trained.mkdir(exist_ok=True)
        save(trained)
    return asdict(run)

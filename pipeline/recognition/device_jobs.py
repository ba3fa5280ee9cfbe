"""Fine-tuning of a recogniser in this process or on several devices; see `pipeline.defects.device_jobs`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.progress import Metrics, Report
from pipeline.recognition.finetuning import train_recogniser
from pipeline.recognition.settings import RecogniserSettings
from pipeline.training.devices import LAUNCH, launch
from pipeline.training.hardware import check_devices, on_cpu
from pipeline.training.sharing import join, rank
from pipeline.training.trainer import TrainingRun
from speech.ctc.folder import Recogniser, load_recogniser, save_recogniser
from speech.hardware.devices import read_hardware

_START, _TRAINED = "start", "trained"


def trained(
    recogniser: Recogniser,
    clips: ClipSet,
    records: Sequence[ClipRecord],
    settings: RecogniserSettings,
    folder: Path,
    report: Report,
    metrics: Metrics,
) -> TrainingRun:
    """`pipeline.recognition.finetuning.train_recogniser` on as many devices as the settings say; the recogniser is
    trained in place."""
    if settings.devices == 1:
        shutil.rmtree(folder / LAUNCH, ignore_errors=True)  # of a training on several that was killed
        return train_recogniser(recogniser, clips, records, settings, folder, report, metrics)
    check_devices(settings, read_hardware())
    between = folder / LAUNCH
    save_recogniser(recogniser, between / _START)
    arguments = {
        "clips": str(clips.folder),
        "records": [record.id for record in records],
        "between": str(between),
        "folder": str(folder),
        "settings": settings.model_dump(mode="json"),
    }
    run = launch(f"{__name__}:train_share", arguments, between, settings.devices, report, metrics)
    recogniser.model.load_state_dict(load_recogniser(between / _TRAINED).model.state_dict())
    shutil.rmtree(between)
    return TrainingRun(**run)


def train_share(
    *,
    clips: str,
    records: list[str],
    between: str,
    folder: str,
    settings: dict[str, Any],
    report: Report,
    metrics: Metrics,
) -> dict[str, Any]:
    """One process's part of `trained`."""
    how = RecogniserSettings(**settings)
    join(use_cpu=on_cpu(how.device, read_hardware()))
    known, chosen = ClipSet.load(Path(clips)), set(records)
    recogniser = load_recogniser(Path(between) / _START)
    usable = [record for record in known.records if record.id in chosen]
    run = train_recogniser(recogniser, known, usable, how, Path(folder), report, metrics)
    if rank() == 0:
        save_recogniser(recogniser, Path(between) / _TRAINED)
    return asdict(run)

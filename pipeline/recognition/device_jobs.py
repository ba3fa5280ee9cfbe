"""Fine-tuning of a recogniser in this process or on several devices; see `pipeline.training.model_exchange`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.progress import Metrics, Report
from pipeline.recognition.finetuning import train_recogniser
from pipeline.recognition.settings import RecogniserSettings
from pipeline.training.devices import LAUNCH
from pipeline.training.model_exchange import begin_share, end_share, train_on_devices
from pipeline.training.trainer import TrainingRun
from speech.ctc.folder import Recogniser, load_recogniser, save_recogniser


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

    def load(folder: Path) -> None:
        recogniser.model.load_state_dict(load_recogniser(folder).model.state_dict())

    arguments = {"clips": str(clips.folder), "records": [record.id for record in records]}
    save = partial(save_recogniser, recogniser)
    return train_on_devices(f"{__name__}:train_share", arguments, settings, folder, save, load, report, metrics)


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
    recogniser = load_recogniser(begin_share(how, between))
    known, chosen = ClipSet.load(Path(clips)), set(records)
    usable = [record for record in known.records if record.id in chosen]
    run = train_recogniser(recogniser, known, usable, how, Path(folder), report, metrics)
    return end_share(run, between, partial(save_recogniser, recogniser))

"""Both trainings of the defect model, in this process or on several devices.

Several processes share no memory: they get a model as a folder of weights, build the clips anew from the folders of the
stages before, and leave the trained weights, which then are loaded into the model that was given.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.defects.corpus import Corpus
from pipeline.defects.finetuning import finetune
from pipeline.defects.pretraining import pretrain
from pipeline.defects.settings import EncoderSettings, HeadSettings
from pipeline.defects.weights import load_model, save_model
from pipeline.progress import Metrics, Report
from pipeline.training.devices import LAUNCH, launch
from pipeline.training.hardware import check_devices, on_cpu
from pipeline.training.sharing import join, rank
from pipeline.training.trainer import TrainingRun
from speech.defects.model import DefectModel
from speech.hardware.devices import read_hardware

_START, _TRAINED = "start", "trained"


def pretrained(
    model: DefectModel,
    corpus: Corpus,
    settings: EncoderSettings,
    folder: Path,
    report: Report,
    metrics: Metrics,
) -> TrainingRun:
    """`pipeline.defects.pretraining.pretrain` on the corpus's training and validation split, on as many devices as
    the settings say; the model is trained in place."""
    if settings.devices == 1:
        shutil.rmtree(folder / LAUNCH, ignore_errors=True)  # of a training on several that was killed
        return pretrain(model, *_examples(corpus), settings, folder, report, metrics)
    return _on_devices("pretrain_share", model, corpus, settings, folder, report, metrics)


def finetuned(
    model: DefectModel,
    corpus: Corpus,
    settings: HeadSettings,
    folder: Path,
    report: Report,
    metrics: Metrics,
    imitable: Sequence[str] = (),
    *,
    keep_best: bool = True,
) -> TrainingRun:
    """`pipeline.defects.finetuning.finetune` in the same way."""
    if settings.devices == 1:
        shutil.rmtree(folder / LAUNCH, ignore_errors=True)
        return finetune(model, *_examples(corpus), settings, folder, report, metrics, imitable, keep_best=keep_best)
    more = {"imitable": list(imitable), "keep_best": keep_best}
    return _on_devices("finetune_share", model, corpus, settings, folder, report, metrics, **more)


def _examples(corpus: Corpus) -> tuple[Any, Any]:
    return corpus.examples("train"), corpus.examples("validation")


def _on_devices(
    function: str,
    model: DefectModel,
    corpus: Corpus,
    settings: EncoderSettings | HeadSettings,
    folder: Path,
    report: Report,
    metrics: Metrics,
    **more: Any,
) -> TrainingRun:
    check_devices(settings, read_hardware())
    between = folder / LAUNCH
    start = between / _START
    start.mkdir(parents=True, exist_ok=True)
    save_model(model, start)
    arguments = {
        "clips": str(corpus.clips.folder),
        "markers": str(corpus.folder),
        "letters": list(corpus.letters),
        "between": str(between),
        "folder": str(folder),
        "settings": settings.model_dump(mode="json"),
    }
    run = launch(f"{__name__}:{function}", arguments | more, between, settings.devices, report, metrics)
    model.load_state_dict(load_model(between / _TRAINED).state_dict())
    shutil.rmtree(between)
    return TrainingRun(**run)


def pretrain_share(
    *,
    clips: str,
    markers: str,
    letters: list[str],
    between: str,
    folder: str,
    settings: dict[str, Any],
    report: Report,
    metrics: Metrics,
) -> dict[str, Any]:
    """One process's part of `pretrained`."""
    how = EncoderSettings(**settings)
    join(use_cpu=on_cpu(how.device, read_hardware()))
    corpus = Corpus.load(Path(clips), Path(markers), letters)
    model = load_model(Path(between) / _START)
    run = pretrain(model, *_examples(corpus), how, Path(folder), report, metrics)
    return _left(model, run, Path(between))


def finetune_share(
    *,
    clips: str,
    markers: str,
    letters: list[str],
    between: str,
    folder: str,
    settings: dict[str, Any],
    imitable: list[str],
    keep_best: bool,
    report: Report,
    metrics: Metrics,
) -> dict[str, Any]:
    """One process's part of `finetuned`."""
    how = HeadSettings(**settings)
    join(use_cpu=on_cpu(how.device, read_hardware()))
    corpus = Corpus.load(Path(clips), Path(markers), letters)
    model = load_model(Path(between) / _START)
    run = finetune(model, *_examples(corpus), how, Path(folder), report, metrics, imitable, keep_best=keep_best)
    return _left(model, run, Path(between))


def _left(model: DefectModel, run: TrainingRun, between: Path) -> dict[str, Any]:
    if rank() == 0:
        (between / _TRAINED).mkdir(exist_ok=True)
        save_model(model, between / _TRAINED)
    return asdict(run)

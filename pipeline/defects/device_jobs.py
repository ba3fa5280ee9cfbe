"""Both trainings of the defect model, in this process or on several devices (`pipeline.training.model_exchange`)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.defects.corpus import Corpus
from pipeline.defects.finetuning import finetune
from pipeline.defects.pretraining import pretrain
from pipeline.defects.settings import EncoderSettings, HeadSettings
from pipeline.defects.weights import load_model, save_model
from pipeline.progress import Metrics, Report
from pipeline.training.devices import LAUNCH
from pipeline.training.model_exchange import begin_share, end_share, train_on_devices
from pipeline.training.trainer import TrainingRun
from speech.defects.model import DefectModel


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
    per_word: bool,
    label_prior: float,
) -> TrainingRun:
    """`pipeline.defects.finetuning.finetune` in the same way."""
    more: dict[str, Any] = {"keep_best": keep_best, "per_word": per_word, "label_prior": label_prior}
    if settings.devices == 1:
        shutil.rmtree(folder / LAUNCH, ignore_errors=True)
        return finetune(model, *_examples(corpus), settings, folder, report, metrics, imitable, **more)
    more["imitable"] = list(imitable)
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
    arguments = {
        "clips": str(corpus.clips.folder),
        "markers": str(corpus.folder),
        "letters": list(corpus.letters),
    }

    def load(trained: Path) -> None:
        model.load_state_dict(load_model(trained).state_dict())

    return train_on_devices(
        f"{__name__}:{function}", arguments | more, settings, folder, partial(save_model, model), load, report, metrics
    )


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
    model = load_model(begin_share(how, between))
    corpus = Corpus.load(Path(clips), Path(markers), letters)
    run = pretrain(model, *_examples(corpus), how, Path(folder), report, metrics)
    return end_share(run, between, partial(save_model, model))


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
    per_word: bool,
    label_prior: float,
    report: Report,
    metrics: Metrics,
) -> dict[str, Any]:
    """One process's part of `finetuned`."""
    how = HeadSettings(**settings)
    model = load_model(begin_share(how, between))
    corpus = Corpus.load(Path(clips), Path(markers), letters)
    more: dict[str, Any] = {"keep_best": keep_best, "per_word": per_word, "label_prior": label_prior}
    run = finetune(model, *_examples(corpus), how, Path(folder), report, metrics, imitable, **more)
    return end_share(run, between, partial(save_model, model))

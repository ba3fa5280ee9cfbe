"""Training of the defect heads, and of the encoder with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score
from transformers import EvalPrediction, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.clips.dataset import ClipSet
from pipeline.defects.count_scale import scale_counts
from pipeline.defects.encoder_cache import HiddenStateSet, StateCache, cache_states, counts_from_cache
from pipeline.defects.imitation import Imitation
from pipeline.defects.joining import Joining
from pipeline.defects.losses import balanced_weights, defect_loss
from pipeline.defects.multilabel_training import multilabel_loss, positive_weights, validation_macro_f1
from pipeline.defects.objectives import Labelled, Transcribed
from pipeline.defects.pausing import Pausing
from pipeline.defects.settings import ClassWeighting, HeadSettings
from pipeline.defects.task import DefectTask
from pipeline.progress import Metrics, Report
from pipeline.training.augmentation import Augmentation
from pipeline.training.examples import IGNORED, Example, ExampleSet
from pipeline.training.hardware import computing, on_cpu
from pipeline.training.sharing import first_says, gathered
from pipeline.training.trainer import TrainingRun, fit, need_clips
from speech.defects.model import DefectModel
from speech.defects.spec import REFERENCE_CLASS
from speech.hardware.devices import read_hardware

_CACHE = "heard"
_WINDOW_QUANTILE, _LEAST_WINDOW = 0.99, 2.0  # seconds


class NoRoom(OSError):
    """The disk has no room for what a frozen encoder hears; the message says what to do."""


class FrozenEncoder(TrainerCallback):
    """Lets only the heads learn in the first epochs, so that their random start does not spoil the encoder."""

    def __init__(self, model: DefectModel, epochs: float) -> None:
        self._parameters = [p for p in model.encoder.parameters() if p.requires_grad]
        self._epochs = epochs

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        learn = (state.epoch or 0.0) >= self._epochs
        for parameter in self._parameters:
            parameter.requires_grad_(learn)


def finetune(
    model: DefectModel,
    training: Sequence[Example],
    validation: Sequence[Example],
    settings: HeadSettings,
    folder: Path,
    report: Report,
    metrics: Metrics,
    imitable: Sequence[str] = (),
    *,
    keep_best: bool = True,
    per_word: bool = True,
    label_prior: float = 0.0,
) -> TrainingRun:
    """Train the defect heads (and the encoder) in place on labelled clips; best weights by validation macro-F1, or the
    last ones, with the validation clips among those learned from, where nothing is to choose by.

    The pretext loss goes on beside the defect loss, where counts are known, so that the gate stays true while the
    encoder changes; `per_word` and `label_prior` are those that the encoder was pretrained with. An encoder that learns
    in no epoch hears each clip and its changed copies once, and keeps that in `folder` until `remove_cache`, so that a
    further training finds it. `imitable` names the classes that can be imitated on speech without a defect. Whether
    classes are exclusive is the model's spec's to say.
    """
    training = [example for example in training if example.label is not None]
    if not keep_best:
        training, validation = [*training, *(e for e in validation if e.label is not None)], []
    validation = [example for example in validation if example.label is not None]
    need_clips("heads", len(training), len(validation) if keep_best else None)
    several = [*training, *validation]
    imitation = _imitation(model, imitable, settings.imitated_share)
    changes = [_pausing(model, settings), _joining(model, training, settings), imitation]
    if settings.imitated_share and imitation is None:
        report("heads: imitated_share has no effect, since no class of these clips is one that can be imitated")
    objective = _objective(model, training, settings, imitation, per_word=per_word, label_prior=label_prior)
    if settings.freeze_features:
        model.encoder.freeze_feature_encoder()  # type: ignore[operator]

    crop = settings.max_crop_seconds
    plain = ExampleSet(training, crop, training=False)
    changed = ExampleSet(
        training,
        crop,
        training=True,
        augmentation=Augmentation() if settings.augment else None,
        changes=[change for change in changes if change is not None],
        seed=settings.seed,
    )
    unseen = ExampleSet(validation, crop, training=False)
    learned: ExampleSet | HiddenStateSet = changed
    chosen_by: ExampleSet | HiddenStateSet = unseen
    report_once = first_says(report)
    cache = gathered(_state_cache(model, several, settings, folder, report_once))[
        0
    ]  # all have looked before any writes
    if cache is not None:
        device = torch.device("cpu" if on_cpu(settings.device, read_hardware()) else "cuda")
        with computing(settings.precision, device.type):
            cache_states(model, plain, changed, cache, report_once, device)
            cache_states(model, unseen, unseen, replace(cache, copies=0), report_once, device)
        learned = HiddenStateSet(training, cache, training=True)
        chosen_by = HiddenStateSet(validation, cache, training=False)
        for part in (model.encoder, model.marker_head):
            part.requires_grad_(False)

    run = fit(
        DefectTask(model, learned, objective),
        learned,
        chosen_by,
        settings,
        folder,
        stage="heads",
        best_by="eval_macro_f1",
        report=report,
        metrics=metrics,
        judge=judge if model.spec.exclusive else _multilabel_judge(model.spec.classes.index(REFERENCE_CLASS)),
        callbacks=[FrozenEncoder(model, settings.frozen_epochs)],
        keep_best=keep_best,
        longest_seconds=crop if cache is None else None,
    )
    model.requires_grad_(True)
    scale_counts(model, several, None if cache is None else lambda known: counts_from_cache(model, known, cache))
    return run


def longest_window(clips: ClipSet) -> float | None:
    """Seconds that a model judges at once which learns from these clips: as long as all but the longest hundredth of
    the labelled ones. None where there are none."""
    lengths = [record.seconds for record in clips.of_split("train", labelled=True)]
    return max(_LEAST_WINDOW, round(float(np.quantile(lengths, _WINDOW_QUANTILE)), 2)) if lengths else None


def remove_cache(folder: Path) -> None:
    """Remove what trainings in `folder` kept of an encoder that stays as it is."""
    shutil.rmtree(folder / _CACHE, ignore_errors=True)


def _state_cache(
    model: DefectModel, examples: Sequence[Example], settings: HeadSettings, folder: Path, report: Report
) -> StateCache | None:
    """Where to keep what the encoder hears; None where it learns, or where that takes more than the settings allow.

    What is free on the disk decides nothing, since another training would come of it. Raises `NoRoom`.
    """
    letters_learn = settings.marker_weight > 0 and bool(model.spec.letters)
    if settings.frozen_epochs < settings.epochs or letters_learn or not settings.heard_gb:
        return None
    changing = (settings.augment, settings.imitated_share, settings.joined_share, settings.paused_share)
    copies = settings.copies if any(changing) else 0
    longer = settings.joined_share * (model.spec.window_seconds or 0.0) / 2
    cache = StateCache(folder / _CACHE, copies, settings.seed, longer)
    needed = cache.needed(model, examples, settings.max_crop_seconds)
    clips = f"{len(examples)} clips and {copies} copies of each"
    taken = f"heads: what the encoder hears of {clips} takes {needed / 1e9:.1f} GB"
    if needed > settings.heard_gb * 1e9:
        report(
            f"{taken}, for which there is no room (heads.heard_gb is {settings.heard_gb:g}); every epoch hears them "
            "anew, which takes longer"
        )
        return None
    if not cache.fits(needed):
        raise NoRoom(
            f"{taken}, and the disk of {folder} has no room for it. Free some, or set heads.heard_gb: 0, by which "
            "every epoch hears them anew: another training, which takes longer"
        )
    return cache


def _objective(
    model: DefectModel,
    training: Sequence[Example],
    settings: HeadSettings,
    imitation: Imitation | None,
    *,
    per_word: bool,
    label_prior: float,
) -> Labelled:
    """What labels teach, weighted by how frequent the classes are in training, and beside it what transcripts do."""
    beside = None
    if settings.marker_weight > 0 and model.spec.letters:
        spells = bool(model.spec.alphabet)
        beside = Transcribed(model.frame_seconds, per_word, counts=False, spells=spells, prior_weight=label_prior)
    loss, weight = _defect_loss(model, training, settings.class_weighting, imitation)
    return Labelled(loss, weight, beside, settings.marker_weight)


def _defect_loss(
    model: DefectModel, training: Sequence[Example], weighting: ClassWeighting, imitation: Imitation | None
) -> tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]:
    """The loss of logits and labels, a mean, and what labels weigh in that mean."""
    classes, labels = model.spec.classes, [example.labels for example in training]
    balanced = weighting is ClassWeighting.balanced and bool(labels)
    of_clips = torch.tensor([index for of_clip in labels for index in of_clip]).long()
    counts = torch.bincount(of_clips, minlength=len(classes)).float()
    expected = counts if imitation is None else imitation.expected(counts)
    if model.spec.exclusive:
        weights = balanced_weights(expected) if balanced else torch.ones(len(classes))
        return (
            lambda logits, known: defect_loss(logits, known, weights),
            lambda known: weights.to(known.device)[known[known >= 0]].sum(),
        )
    positive = positive_weights(expected, len(labels)) if balanced else torch.ones(len(classes))
    reference = classes.index(REFERENCE_CLASS)
    return (
        lambda logits, known: multilabel_loss(logits, known, positive, reference),
        lambda known: (known >= 0).all(1).sum(),
    )


def _imitation(model: DefectModel, imitable: Sequence[str], share: float) -> Imitation | None:
    classes = model.spec.classes
    of = tuple(classes.index(name) for name in imitable if name in classes)
    if not of or not share or REFERENCE_CLASS not in classes:
        return None
    return Imitation(classes.index(REFERENCE_CLASS), of, share)


def _joining(model: DefectModel, training: Sequence[Example], settings: HeadSettings) -> Joining | None:
    """None where nothing can be joined: no speaker is known, classes are not exclusive, or none is without a defect."""
    spec = model.spec
    longest = min(spec.window_seconds or 0.0, settings.max_crop_seconds)
    if not settings.joined_share or not longest or not spec.exclusive or REFERENCE_CLASS not in spec.classes:
        return None
    known = [example for example in training if example.speaker]
    return Joining.of(known, spec.classes.index(REFERENCE_CLASS), spec.marked, longest, settings.joined_share)


def _pausing(model: DefectModel, settings: HeadSettings) -> Pausing | None:
    """None where nothing is to be paused, or the classes have none without a defect."""
    spec = model.spec
    if not settings.paused_share or REFERENCE_CLASS not in spec.classes:
        return None
    shortened = [marked or name == REFERENCE_CLASS for name, marked in zip(spec.classes, spec.marked, strict=True)]
    return Pausing(shortened, settings.paused_share)


def judge(prediction: EvalPrediction) -> dict[str, float]:
    """Macro-F1 over all classes of a validation pass."""
    logits, labels = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    known = labels != IGNORED
    return {"macro_f1": macro_f1(labels[known], logits[known].argmax(-1), logits.shape[-1])}


def _multilabel_judge(reference: int) -> Callable[[EvalPrediction], dict[str, float]]:
    def judge_several(prediction: EvalPrediction) -> dict[str, float]:
        logits, labels = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
        return {"macro_f1": validation_macro_f1(logits, labels, reference)}

    return judge_several


def macro_f1(truth: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, classes: int) -> float:
    """Mean F1 over all classes; a class that is neither there nor predicted counts as zero."""
    return float(f1_score(truth, predicted, labels=list(range(classes)), average="macro", zero_division=0.0))

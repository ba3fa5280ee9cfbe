"""Training of the defect heads, and of the encoder with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score
from transformers import EvalPrediction, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.progress import Metrics, Report
from pipeline.settings import ClassWeighting, HeadSettings
from pipeline.training.augmentation import Augmentation
from pipeline.training.count_scale import scale_counts
from pipeline.training.examples import IGNORED, Example, ExampleSet, Imitation
from pipeline.training.losses import balanced_weights, defect_loss, pretext_loss
from pipeline.training.trainer import TrainingRun, fit
from speech.model import DefectModel
from speech.spec import REFERENCE_CLASS


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
) -> TrainingRun:
    """Train the defect heads (and the encoder) in place on labelled clips; best weights by validation macro-F1.

    The pretext loss goes on beside the defect loss, where counts are known, so that the gate stays true while the
    encoder changes. `imitable` names the classes that can be imitated on speech without a defect.
    """
    classes = len(model.spec.classes)
    training = [example for example in training if example.label is not None]
    validation = [example for example in validation if example.label is not None]
    labels = [example.label for example in training if example.label is not None]
    weights = torch.ones(classes)
    if settings.class_weighting is ClassWeighting.balanced and labels:
        weights = balanced_weights(labels, classes)
    if settings.freeze_features:
        model.encoder.freeze_feature_encoder()  # type: ignore[operator]

    augmentation = Augmentation() if settings.augment else None

    def loss_of(output: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = defect_loss(output.logits, batch["labels"], weights)
        if settings.marker_weight > 0 and model.spec.letters:
            pretext = pretext_loss(output, batch, model.frame_seconds, per_word=True, counts=False)
            loss = loss + settings.marker_weight * pretext
        return loss

    run = fit(
        model,
        ExampleSet(
            training,
            settings.max_crop_seconds,
            training=True,
            augmentation=augmentation,
            imitation=_imitation(model, imitable, settings.imitated_share),
        ),
        ExampleSet(validation, settings.max_crop_seconds, training=False),
        settings,
        folder,
        loss_of,
        stage="heads",
        best_by="eval_macro_f1",
        report=report,
        metrics=metrics,
        judge=judge,
        callbacks=[FrozenEncoder(model, settings.frozen_epochs)],
    )
    scale_counts(model, [*training, *validation])
    return run


def _imitation(model: DefectModel, imitable: Sequence[str], share: float) -> Imitation | None:
    classes = model.spec.classes
    of = tuple(classes.index(name) for name in imitable if name in classes)
    if not of or not share or REFERENCE_CLASS not in classes:
        return None
    return Imitation(classes.index(REFERENCE_CLASS), of, share)


def judge(prediction: EvalPrediction) -> dict[str, float]:
    """Macro-F1 over all classes of a validation pass."""
    logits, labels = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    known = labels != IGNORED
    return {"macro_f1": macro_f1(labels[known], logits[known].argmax(-1), logits.shape[-1])}


def macro_f1(truth: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, classes: int) -> float:
    """Mean F1 over all classes; a class that is neither there nor predicted counts as zero."""
    return float(f1_score(truth, predicted, labels=list(range(classes)), average="macro", zero_division=0.0))

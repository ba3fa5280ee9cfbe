"""Fine-tuning of a recogniser: CTC on recordings with texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch
from torch import nn
from transformers import EvalPrediction
from transformers.utils import logging as transformers_logging

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.progress import Metrics, Report
from pipeline.recognition.generated import generated
from pipeline.recognition.masking import mask_frames
from pipeline.recognition.settings import Checkpoint, RecogniserSettings
from pipeline.recognition.texts import Texts, alphabet_of
from pipeline.training.augmentation import VARIED
from pipeline.training.examples import IGNORED, Example, ExampleSet
from pipeline.training.sharing import first_says
from pipeline.training.start_weights import weights_hash
from pipeline.training.tasks import SHAPE_SAMPLES, SHAPE_STEPS, Batch, Sums, clips_of, padded
from pipeline.training.trainer import TrainingRun, fit
from speech.ctc.decoding import decode
from speech.ctc.folder import Recogniser, load_recogniser, local_folder, new_recogniser
from speech.text.language import load_language

_CLIPS = "clips"
_WHOLE = float("inf")  # seconds; a clip cut short would have letters that it does not hold


def start_recogniser(settings: RecogniserSettings, clips: ClipSet) -> Recogniser:
    """The recogniser that training starts from. Raises `speech.ctc.folder.RecogniserError`."""
    language = load_language(clips.language)
    if settings.start_from is not None:
        recogniser = new_recogniser(
            settings.start_from, alphabet_of(clips.records, language), clips.language, seed=settings.seed
        )
    else:
        recogniser = load_recogniser(settings.base)
    if settings.masked is not None:
        mask_frames(recogniser, settings.masked)
    words = _words(clips, Texts(language)) if settings.closed_vocabulary else ()
    return Recogniser(recogniser.model, recogniser.processor, clips.language, words)


def hash_of(settings: RecogniserSettings) -> str | None:
    """What tells the local weights that training starts from, from others; None where they come from the hub."""
    local = local_folder(settings.base)
    return None if local is None else weights_hash(local)


def _words(clips: ClipSet, texts: Texts) -> list[str]:
    """The words of the training split's texts, each once."""
    return sorted({word for clip in clips.of_split("train") if clip.text for word in texts.target(clip.text).split()})


def examples_of(recogniser: Recogniser, clips: ClipSet, records: Sequence[ClipRecord]) -> list[Example]:
    """The given clips with what is said in each; all have a text that the recogniser can write."""
    texts = Texts(load_language(clips.language))
    return [
        Example(
            clip=record.id,
            load=lambda record=record: clips.samples(record),  # type: ignore[misc]
            seconds=record.seconds,
            letters=tuple(recogniser.ids_of(texts.target(record.text or ""))),
        )
        for record in records
    ]


def learned_from(
    recogniser: Recogniser, clips: ClipSet, records: Sequence[ClipRecord], settings: RecogniserSettings
) -> tuple[list[Example], list[Example]]:
    """What a training learns from: the recordings of its splits, and the clips that a synthesiser says beside them."""
    splits = ("train",) if settings.checkpoint is Checkpoint.best else ("train", "validation")
    records = [record for record in records if record.split in splits]
    recorded = examples_of(recogniser, clips, records)
    count = round(settings.generated * len(recorded))
    if not count:
        return recorded, []
    texts = Texts(load_language(clips.language))
    targets = [texts.target(record.text or "") for record in records]
    return recorded, generated(recogniser, targets, recorded, count, settings.seed)


class RecogniserTask:
    """A recogniser's CTC loss; validation counts each clip's word errors and words."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.model: nn.Module = recogniser.model
        self._recogniser = recogniser
        named = (name for name, part in self.model.named_children() if part is recogniser.base)
        self.encoder = f"{next(named, '')}."

    def collate(self, items: Sequence[dict[str, Any]]) -> Batch:
        """The model's own input, and `labels` (batch, longest text), `IGNORED` beyond each text's end."""
        batch = self._recogniser.inputs([item["samples"] for item in items])
        labels = torch.full((len(items), max(len(item["letters"]) for item in items)), IGNORED)
        for row, item in zip(labels, items, strict=True):
            row[: len(item["letters"])] = torch.tensor(item["letters"])
        return batch | {"labels": labels}

    def in_few_shapes(self, batch: Batch) -> Batch:
        if not self._recogniser.computes_together:
            return batch
        name, multiple = ("input_values", SHAPE_SAMPLES) if "input_values" in batch else ("input_features", SHAPE_STEPS)
        return padded(padded(batch, name, 1, multiple), "attention_mask", 1, multiple)

    def sums(self, model: nn.Module, batch: Batch, at_once: int | None) -> dict[str, torch.Tensor]:
        return {_CLIPS: torch.tensor(float(clips_of(batch)))}

    def loss(self, model: nn.Module, batch: Batch, whole: Sums | None = None) -> tuple[torch.Tensor, Any]:
        output = model(**batch)
        if whole is None or self._recogniser.model.config.ctc_loss_reduction == "sum":
            return output.loss, output
        return output.loss * (clips_of(batch) / float(whole[_CLIPS])), output

    def answers(self, output: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Word errors and words of each clip, both (batch,)."""
        emissions = output.logits.detach().float().log_softmax(-1).cpu().numpy()
        if self._recogniser.takes_mask:
            counts = self._recogniser.frame_counts(batch).tolist()
        else:
            counts = [len(rows) for rows in emissions]
        errors, words = [], []
        for rows, count, ids in zip(emissions, counts, batch["labels"].tolist(), strict=True):
            said = self._recogniser.text_of([token for token in ids if token != IGNORED])
            heard = decode(rows[:count], self._recogniser).text
            found = jiwer.process_words(said, heard)
            errors.append(found.substitutions + found.deletions + found.insertions)
            words.append(len(said.split()))
        device = batch["labels"].device
        return torch.tensor(errors, device=device), torch.tensor(words, device=device)


def word_error_rate(prediction: EvalPrediction) -> dict[str, float]:
    """Word errors over all words of a validation pass."""
    return {"wer": float(np.sum(prediction.predictions) / np.sum(prediction.label_ids))}


def train_recogniser(
    recogniser: Recogniser,
    clips: ClipSet,
    records: Sequence[ClipRecord],
    settings: RecogniserSettings,
    folder: Path,
    report: Report,
    metrics: Metrics,
) -> TrainingRun:
    """Fine-tune `recogniser` in place on those of `records` that are in the training split.

    `records` are clips whose text the recogniser can write (`pipeline.recognition.texts.check_texts`); those of the
    test split are not looked at. `folder` holds the checkpoints that a killed training goes on from. The best figure is
    the word error rate on the validation split, None where nothing is chosen by it. Raises as
    `pipeline.training.trainer.fit`.
    """
    transformers_logging.disable_progress_bar()  # one for each checkpoint; the log has lines of its own
    keep_best = settings.checkpoint is Checkpoint.best
    recorded, said = learned_from(recogniser, clips, records, settings)
    if said:
        first_says(report)(f"recogniser: beside {len(recorded)} recordings a synthesiser says {len(said)} clips")
    training = [*recorded, *said]
    chosen_by = [record for record in records if keep_best and record.split == "validation"]
    validation = examples_of(recogniser, clips, chosen_by)
    if settings.keeps_features and hasattr(recogniser.model, "freeze_feature_encoder"):
        recogniser.model.freeze_feature_encoder()
    run = fit(
        RecogniserTask(recogniser),
        ExampleSet(
            training, _WHOLE, training=True, augmentation=VARIED if settings.augment else None, seed=settings.seed
        ),
        ExampleSet(validation, _WHOLE, training=False),
        settings,
        folder,
        stage="recogniser",
        best_by="eval_wer",
        lower_is_better=True,
        report=report,
        metrics=metrics,
        judge=word_error_rate,
        keep_best=keep_best,
        longest_seconds=max((example.seconds for example in training), default=0.0) / VARIED.speeds[0],
    )
    recogniser.model.requires_grad_(True).eval()
    return run

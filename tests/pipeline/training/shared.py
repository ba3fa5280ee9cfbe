"""Trainings that `tests/pipeline/training/test_devices.py` runs in one process and in several; the processes import
this."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.defects.finetuning import finetune
from pipeline.defects.pretraining import pretrain, start_model
from pipeline.progress import Metrics, Report
from pipeline.recognition.finetuning import train_recogniser
from pipeline.recognition.settings import RecogniserSettings
from pipeline.training import sharing, steps
from pipeline.training.examples import CountedSpan, Example
from pipeline.training.sharing import join, rank
from pipeline.training.trainer import TrainingRun
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import DefectModel
from tests.pipeline.training.test_training import (
    ARCHITECTURE,
    CLASSES,
    LETTERS,
    MARKED,
    encoder_settings,
    head_settings,
    tone,
)
from tests.recognisers import tiny_recogniser

ALPHABET = "раву"
# What is drawn while computing cannot be the same in a share as in the whole.
STEADY: dict[str, Any] = ARCHITECTURE | {
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "final_dropout": 0.0,
    "apply_spec_augment": False,
}


def uneven(seed: int) -> Example:
    """Clips of unlike length, of which some have no label, no counts, no words or no letters."""
    samples = tone(seed, (200.0, 900.0, 2500.0)[seed % 3])[: SAMPLE_RATE * (5 + seed % 6) // 10]
    seconds = len(samples) / SAMPLE_RATE
    words = (CountedSpan(0.0, seconds / 2, (seed % 3,), (1, 2)), CountedSpan(seconds / 2, seconds, (1,), (3,)))
    return Example(
        clip=f"clip{seed}",
        load=lambda: samples.copy(),
        seconds=seconds,
        label=seed % 3,
        words=words[: seed % 3],
        counts=None if seed % 4 == 0 else (seed % 3,),
        letters=(1, 2, 4) if seed % 5 == 0 else (),
    )


def steady(model: DefectModel) -> DefectModel:
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


# 13 clips in batches of 4: of the last one the first process has a clip and the second none.
FEW: dict[str, Any] = {
    "batch_size": 4,
    "accumulation": 2,
    "epochs": 3,
    "learning_rate": 1e-3,
    "validations_per_epoch": 1,
}
CLIPS = 13


def pretraining(folder: Path, report: Report, metrics: Metrics, **changes: Any) -> tuple[nn.Module, TrainingRun]:
    values = FEW | {"pretext": "both", "architecture": STEADY, "label_prior": 0.3} | changes
    settings = encoder_settings(**values)
    model = steady(start_model(settings, CLASSES, LETTERS, MARKED, alphabet=ALPHABET))
    clips = [uneven(seed) for seed in range(CLIPS)]
    return model, pretrain(model, clips, [uneven(100 + seed) for seed in range(7)], settings, folder, report, metrics)


def finetuning(folder: Path, report: Report, metrics: Metrics, **changes: Any) -> tuple[nn.Module, TrainingRun]:
    settings = head_settings(**(FEW | {"frozen_epochs": 1} | changes))
    start = encoder_settings(pretext="letters", architecture=STEADY)
    model = steady(start_model(start, CLASSES, LETTERS, MARKED, alphabet=ALPHABET))
    clips = [uneven(seed) for seed in range(CLIPS)]
    unheard = [uneven(100 + seed) for seed in range(7)]
    return model, finetune(model, clips, unheard, settings, folder, report, metrics, label_prior=0.3)


def frozen(folder: Path, report: Report, metrics: Metrics, **changes: Any) -> tuple[nn.Module, TrainingRun]:
    """The heads on what an encoder that stays as it is has heard."""
    how = {"frozen_epochs": 3, "marker_weight": 0, "copies": 2}
    return finetuning(folder, report, metrics, **(how | changes))


class Words:
    """As much of a `ClipSet` as the recogniser's training asks for."""

    language = "ru"

    def __init__(self) -> None:
        texts = ("раз", "два", "три раза", "ура", "вот", "там")
        self.records = [
            _Said(str(seed), "train" if seed < CLIPS else "validation", texts[seed % 6], 0.6 + 0.1 * (seed % 5))
            for seed in range(CLIPS + 7)
        ]

    def samples(self, record: Any) -> np.ndarray:
        return tone(int(record.id), 200.0 + 50 * int(record.id))[: int(record.seconds * SAMPLE_RATE)].copy()


class _Said:
    def __init__(self, clip: str, split: str, text: str, seconds: float) -> None:
        self.id, self.split, self.text, self.seconds = clip, split, text, seconds


def recognising(folder: Path, report: Report, metrics: Metrics, **changes: Any) -> tuple[nn.Module, TrainingRun]:
    values = {"warmup_steps": 0, "patience": 100, "precision": "fp32", "device": "cpu"}
    settings = RecogniserSettings(**(FEW | values | changes))
    dropped = {name: 0.0 for name in STEADY if "dropout" in name}
    folder.mkdir(parents=True, exist_ok=True)
    recogniser = tiny_recogniser(folder / "vocabulary", apply_spec_augment=False, layerdrop=0.0, **dropped)
    clips: Any = Words()
    return recogniser.model, train_recogniser(recogniser, clips, clips.records, settings, folder, report, metrics)


TRAININGS = {"encoder": pretraining, "heads": finetuning, "frozen": frozen, "recogniser": recognising}


def train(
    *, what: str, folder: str, changes: dict[str, Any], spoilt: str = "", report: Report, metrics: Metrics
) -> dict[str, Any]:
    """One process of a training; leaves the first one's weights in `folder`. `spoilt` breaks it on purpose."""
    if "devices" in changes:
        join(use_cpu=True)
    torch.set_num_threads(1)
    if spoilt == "gradients":  # each goes its own way
        from pipeline.training import trainer

        trainer.sum_gradients = lambda model: None  # type: ignore[attr-defined, assignment]
    elif spoilt == "means":  # each takes its own share for the whole
        steps.summed = lambda values: {name: value / sharing.processes() for name, value in values.items()}  # type: ignore[attr-defined]
    elif spoilt == "shares":  # each computes the same clips
        sharing.rank = lambda: 0
    model, run = TRAININGS[what](Path(folder), report, metrics, **changes)
    if rank() == 0:
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, Path(folder) / "weights")
    return asdict(replace(run, history=[line for line in run.history if "eval_loss" in line]))

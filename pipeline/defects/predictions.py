"""Diagnoses of many clips, made by the very function that serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.evaluation.batches import answers_by_length
from pipeline.progress import Report
from speech.defects.diagnose import Diagnosis, diagnose
from speech.defects.model import DefectModel
from speech.defects.multilabel import AnyCalibration


@dataclass(frozen=True)
class CountedClip:
    """A clip to diagnose: its id, what marker letters it holds (None where unknown), its sound, and seconds of it (0
    where unknown)."""

    clip: str
    counts: dict[str, int] | None
    load: Callable[[], np.ndarray]
    seconds: float = field(default=0.0, kw_only=True)


@dataclass(frozen=True)
class LabelledClip(CountedClip):
    """A labelled clip: besides, its content's sha256, its class, its speaker, further classes where they are not
    exclusive, and its speaker's group."""

    content: str
    label: str
    speaker: str | None
    also: tuple[str, ...] = ()
    group: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """All its classes."""
        return (self.label, *self.also)


def predict(
    model: DefectModel,
    clips: Sequence[CountedClip],
    batch_size: int,
    report: Report,
    calibration: AnyCalibration | None = None,
) -> list[Diagnosis]:
    """A diagnosis per clip, in order. The model is put into evaluation mode."""
    model.eval()
    return answers_by_length(
        [clip.load for clip in clips],
        [clip.seconds for clip in clips],
        batch_size,
        report,
        lambda samples: diagnose(model, samples, calibration),
    )

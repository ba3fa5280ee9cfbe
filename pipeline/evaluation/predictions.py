"""Diagnoses of many clips, made by the very function that serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.progress import Report, seconds_text
from speech.diagnose import Diagnosis, diagnose
from speech.model import DefectModel
from speech.multilabel import AnyCalibration

_INTERVAL = 10.0  # seconds between lines of progress


@dataclass(frozen=True)
class Heard:
    """A clip to diagnose: its id, what marker letters it holds (None where unknown), and its sound."""

    clip: str
    counts: dict[str, int] | None
    load: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Judged(Heard):
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


def unit(clip: Judged) -> str:
    """What a clip is drawn together with: its speaker, or it alone where the speaker is unknown."""
    return f"clip {clip.clip}" if clip.speaker is None else clip.speaker


def predict(
    model: DefectModel,
    clips: Sequence[Heard],
    batch_size: int,
    report: Report,
    calibration: AnyCalibration | None = None,
) -> list[Diagnosis]:
    """A diagnosis per clip, in order. The model is put into evaluation mode."""
    model.eval()
    answers: list[Diagnosis] = []
    started = said = time.monotonic()
    for first in range(0, len(clips), batch_size):
        answers += diagnose(model, [clip.load() for clip in clips[first : first + batch_size]], calibration)
        now = time.monotonic()
        if now - said >= _INTERVAL:
            said = now
            left = (now - started) / len(answers) * (len(clips) - len(answers))
            report(f"evaluation: {len(answers)} of {len(clips)} clips, {seconds_text(left)} left")
    return answers

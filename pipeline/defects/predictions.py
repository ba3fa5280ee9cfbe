"""Diagnoses of many clips, made by the very function that serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch

from pipeline.progress import Report, seconds_text
from speech.defects.diagnose import Diagnosis, diagnose
from speech.defects.model import DefectModel
from speech.defects.multilabel import AnyCalibration

_Answer = TypeVar("_Answer")
_INTERVAL = 10.0  # seconds between lines of progress


@dataclass(frozen=True)
class Heard:
    """A clip to diagnose: its id, what marker letters it holds (None where unknown), its sound, and seconds of it (0
    where unknown)."""

    clip: str
    counts: dict[str, int] | None
    load: Callable[[], np.ndarray]
    seconds: float = field(default=0.0, kw_only=True)


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


def predict(
    model: DefectModel,
    clips: Sequence[Heard],
    batch_size: int,
    report: Report,
    calibration: AnyCalibration | None = None,
) -> list[Diagnosis]:
    """A diagnosis per clip, in order. The model is put into evaluation mode."""
    model.eval()
    return by_length(
        [clip.load for clip in clips],
        [clip.seconds for clip in clips],
        batch_size,
        report,
        lambda samples: diagnose(model, samples, calibration),
    )


def by_length(
    clips: Sequence[Callable[[], np.ndarray]],
    seconds: Sequence[float],
    batch_size: int,
    report: Report,
    answer: Callable[[list[np.ndarray]], list[_Answer]],
) -> list[_Answer]:
    """`in_batches` of clips of like length, which need little padding; answers are in the order of the clips."""
    order = sorted(range(len(clips)), key=lambda index: seconds[index])
    answers = dict(zip(order, in_batches([clips[i] for i in order], batch_size, report, answer), strict=True))
    return [answers[index] for index in range(len(clips))]


def in_batches(
    clips: Sequence[Callable[[], np.ndarray]],
    batch_size: int,
    report: Report,
    answer: Callable[[list[np.ndarray]], list[_Answer]],
) -> list[_Answer]:
    """An answer per clip, in order; `clips` give their samples when they are called. Tells how far it is."""
    answers: list[_Answer] = []
    started = said = time.monotonic()
    for first in range(0, len(clips), batch_size):
        answers += _finite(answer, [load() for load in clips[first : first + batch_size]])
        now = time.monotonic()
        if now - said >= _INTERVAL:
            said = now
            left = (now - started) / len(answers) * (len(clips) - len(answers))
            report(f"evaluation: {len(answers)} of {len(clips)} clips, {seconds_text(left)} left")
    return answers


def _finite(answer: Callable[[list[np.ndarray]], list[_Answer]], samples: list[np.ndarray]) -> list[_Answer]:
    """Answers to a batch; what lies beyond fp16, as in some large encoders, is computed in fp32."""
    try:
        return answer(samples)
    except FloatingPointError:
        if not torch.is_autocast_enabled("cuda"):
            raise
    with torch.autocast("cuda", enabled=False):
        return answer(samples)

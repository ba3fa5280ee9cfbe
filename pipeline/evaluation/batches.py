"""Answers to many clips, computed in batches of like length."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from pipeline.progress import Report, seconds_text

_Answer = TypeVar("_Answer")
_INTERVAL = 10.0  # seconds between lines of progress


def answers_by_length(
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
            report(f"{len(answers)} of {len(clips)} clips heard, {seconds_text(left)} left")
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

"""What a long training says while it runs, and the curves it leaves."""

from __future__ import annotations

import math
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.progress import Metrics, Report, seconds_text

_JUDGED = ("loss", "macro_f1", "wer")
_INTERVAL = 10.0  # seconds between lines; more would drown the log of a long run


class ProgressCallback(TrainerCallback):
    """Reports step, loss and time left every few seconds and hands every figure to `metrics`."""

    def __init__(self, stage: str, report: Report, metrics: Metrics) -> None:
        self._stage, self._report, self._metrics = stage, report, metrics
        self._started, self._first, self._said = 0.0, 0, 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._started = self._said = time.monotonic()
        self._first = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        now = time.monotonic()
        if now - self._said < _INTERVAL:
            return
        self._said = now
        done = state.global_step - self._first
        left = (now - self._started) / done * (state.max_steps - state.global_step)
        self._report(
            f"{self._stage}: step {state.global_step} of {state.max_steps}, epoch {state.epoch or 0:.1f}, "
            f"at most {seconds_text(left)} left"
        )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        figures = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float) and math.isfinite(v)}
        self._metrics(figures, state.global_step)
        judged = {name: figures[f"eval_{name}"] for name in _JUDGED if f"eval_{name}" in figures}
        if judged:
            text = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in judged.items())
            self._report(f"{self._stage}: epoch {state.epoch or 0:.1f}, validation {text}")

"""When a training ends before its last epoch."""

from __future__ import annotations

from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments


class EarlyStopping(EarlyStoppingCallback):
    """Ends a training after so many validations without a gain.

    Its count stands in checkpoints. A training that was killed between its last validation and its end has nothing
    left to do when it goes on, and takes no more than a step.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> TrainerControl:
        super().on_train_begin(args, state, control, **others)
        control.should_training_stop = self.early_stopping_patience_counter >= self.early_stopping_patience
        return control

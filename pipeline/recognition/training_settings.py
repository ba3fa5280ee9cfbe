"""The settings of a recogniser's training."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from pipeline.settings import TrainingSettings

SEED_MODEL = "google/medasr"


class Checkpoint(StrEnum):
    """Which weights a training leaves."""

    best = "best"
    last = "last"


class RecogniserSettings(TrainingSettings):
    """Which recogniser, and how it is fine-tuned. The defaults are those that MedASR was fine-tuned with."""

    name: str | None = Field(
        None,
        description="A recogniser to go on from, any AutoModelForCTC: a Hugging Face name or a path. "
        f"Neither this nor start_from: {SEED_MODEL}. A gated one needs HF_TOKEN in the pipeline's environment.",
    )
    start_from: str | None = Field(
        None,
        description="Or a wav2vec 2.0 encoder, a path (encoders/small ships with the code), with a new head that "
        "writes the letters of the training texts.",
    )
    closed_vocabulary: bool = Field(
        False,
        description="Whether nothing but the words of the training texts is ever said (commands, numbers): the "
        "recogniser then writes these words alone, and makes far fewer errors.",
    )
    learning_rate: float = Field(3e-5, gt=0, lt=1, description="Peak learning rate of the encoder.")
    head_learning_rate: float = Field(3e-5, gt=0, lt=1, description="Peak learning rate of what is not the encoder.")
    accumulation: int = Field(4, ge=1, description="Steps whose gradients are added before weights move.")
    warmup_steps: int | None = Field(
        300, ge=0, description="Steps over which the rate rises, at most half of all; none: warmup_share of them."
    )
    checkpoint: Checkpoint = Field(
        Checkpoint.best,
        description="best: the weights with the lowest word error rate on the validation split. last: the last ones, "
        "of a training that hears the validation split's clips too: where speakers are few, each counts.",
    )
    freeze_features: bool | None = Field(
        None, description="Keep the convolutional front end as it is. Default: yes for name, no for start_from."
    )
    augment: bool = Field(
        False,
        description="Train on changed copies of the clips: other voices, noise, rooms, telephone lines, mp3.",
    )
    masked: float | None = Field(
        None,
        ge=0,
        le=0.65,
        description="Share of a clip's frames that training hides from the encoder, a sixth of a second at a time "
        "(SpecAugment). Default: as the model's own configuration says.",
    )
    generated: float = Field(
        0.0,
        ge=0,
        le=4,
        description="Clips that a synthesiser (espeak-ng) says for each recorded one, of the words of the training "
        "texts, in other voices and accents: worth most where few people speak. 0: none.",
    )
    seed: int = Field(42, description="Seed of weights, order and augmentation.")

    @model_validator(mode="after")
    def _check(self) -> RecogniserSettings:
        if self.name is not None and self.start_from is not None:
            raise ValueError("name, start_from: give one of them")
        return self

    @property
    def base(self) -> str:
        """What the training starts from."""
        return self.name or self.start_from or SEED_MODEL

    @property
    def keeps_features(self) -> bool:
        """Whether the convolutional front end stays as it is."""
        return self.start_from is None if self.freeze_features is None else self.freeze_features

    def warmup(self, steps: int) -> int:
        return super().warmup(steps) if self.warmup_steps is None else min(self.warmup_steps, steps // 2)

"""The settings that all trainings have in common."""

from __future__ import annotations

from pydantic import Field

from pipeline.settings import Device, Precision, Settings


class TrainingSettings(Settings):
    """What all trainings have in common."""

    not_in_key = frozenset({"device", "devices", "gradient_checkpointing"})

    epochs: float = Field(10.0, gt=0, le=10_000, description="Passes over the training clips.")
    batch_size: int = Field(8, ge=1, le=4096, description="Clips per step, of all devices together.")
    accumulation: int = Field(1, ge=1, description="Steps whose gradients are added before weights move.")
    learning_rate: float = Field(1e-4, gt=0, lt=1, description="Peak learning rate of the encoder.")
    head_learning_rate: float = Field(1e-3, gt=0, lt=1, description="Peak learning rate of the heads.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps over which the rate rises.")
    weight_decay: float = Field(
        0.01, ge=0, lt=1, description="AdamW's weight decay; biases and normalisation have none."
    )
    patience: int = Field(
        5, ge=1, description="Epochs without a gain on the validation clips after which training stops."
    )
    augment: bool = Field(
        True, description="Train on changed copies of the clips: noise, rooms, telephone lines, mp3, lost moments."
    )
    precision: Precision = Field(
        Precision.auto,
        description="Arithmetic; auto is bf16 where the hardware multiplies matrices in it, else fp16 with loss "
        "scaling on a GPU and fp32 on a CPU.",
    )
    device: Device = Field(Device.auto, description="Where to train.")
    devices: int = Field(
        1,
        ge=1,
        le=64,
        description="GPUs to train on, a process each that computes its share of every batch; results are those of one "
        "but for rounding. With device cpu: processes.",
    )
    gradient_checkpointing: bool | None = Field(
        None,
        description="Compute the encoder's layers twice instead of keeping what they computed: a third slower, in a "
        "fraction of the memory. Default: where the estimate exceeds the GPU's memory.",
    )
    validations_per_epoch: int = Field(
        1, ge=1, description="Validations per epoch, each with a checkpoint from which a killed run goes on."
    )
    seed: int = Field(20, description="Seed of weights, order and augmentation.")

    def warmup(self, steps: int) -> int:
        """How many of all `steps` the learning rate rises over."""
        return int(steps * self.warmup_share)


class CroppedTrainingSettings(TrainingSettings):
    """A training that may take parts of clips."""

    max_crop_seconds: float = Field(15.0, gt=0, description="Longer clips are cut at random to this while training.")

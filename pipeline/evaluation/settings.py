"""The settings that the judgements of both recipes have in common."""

from __future__ import annotations

from pydantic import Field

from pipeline.settings import Device, Precision, Settings


class ComputingSettings(Settings):
    """Where and how a trained model answers."""

    not_in_key = frozenset({"device", "batch_size", "precision"})

    batch_size: int = Field(8, ge=1, description="Clips judged at once.")
    device: Device = Field(Device.auto, description="Where to compute.")
    precision: Precision = Field(
        Precision.auto,
        description="Arithmetic on a GPU: auto is bf16 where it has it, else fp16. On a CPU it is fp32, as in "
        "services.",
    )


class JudgingSettings(ComputingSettings):
    """How a model is judged on test speakers."""

    compare_champion: bool = Field(True, description="Judge the bundle in service on the same clips.")


class ScoreSettings(ComputingSettings):
    """Which bundle the `evaluate` job judges, and on which clips."""

    # The bundle that is named is an input of the stage, by its id.
    not_in_key = ComputingSettings.not_in_key | {"bundle"}

    bundle: str = Field("service", description="A bundle's id, or 'service' for the one in service.")

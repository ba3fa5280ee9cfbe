"""The settings that the judgements of both recipes have in common."""

from __future__ import annotations

from pydantic import Field

from pipeline.settings import Device, Precision, Settings

_JUDGED_IN = "Arithmetic on a GPU: auto is bf16 where it has it, else fp16. On a CPU it is fp32, as in services."


class JudgingSettings(Settings):
    """What the judgements of both recipes have in common."""

    not_in_key = frozenset({"device", "batch_size", "precision"})

    batch_size: int = Field(8, ge=1, description="Clips judged at once.")
    device: Device = Field(Device.auto, description="Where to compute.")
    precision: Precision = Field(Precision.auto, description=_JUDGED_IN)
    compare_champion: bool = Field(True, description="Judge the bundle in service on the same clips.")


class ScoreSettings(Settings):
    """Which bundle the `evaluate` job judges, and on which clips."""

    not_in_key = frozenset({"device", "batch_size", "precision"})

    bundle: str = Field("service", description="A bundle's id, or 'service' for the one in service.")
    batch_size: int = Field(8, ge=1, description="Clips diagnosed at once.")
    device: Device = Field(Device.auto, description="Where to compute.")
    precision: Precision = Field(Precision.auto, description=_JUDGED_IN)

"""What the settings of all stages are made of. Each stage's stand in the room that does its work: `settings` there.

Plain pydantic, so that notebooks and commands use them without Dagster; `pipeline.launchpad` shows them in the UI.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings: unknown fields are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    not_in_key: ClassVar[frozenset[str]] = frozenset()
    """Fields that say how a stage works, not what it makes: its output's key does not hold them."""

    def for_key(self) -> dict[str, Any]:
        """The settings that decide what the stage makes, JSON-able: its output's key is made of them."""
        return self.model_dump(mode="json", exclude=set(self.not_in_key))


class Precision(StrEnum):
    """Arithmetic of training. The names are what a run configuration holds."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"

"""Whether and where runs are tracked."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from pipeline.settings import Settings


class Tracking(StrEnum):
    """Where a run is tracked."""

    disabled = "disabled"
    online = "online"
    offline = "offline"

    @classmethod
    def _missing_(cls, value: object) -> Tracking | None:
        """Its earlier name: `off`, which YAML reads as false unless it is quoted."""
        return cls.disabled if value is False or value == "off" else None


class TrackingSettings(Settings):
    """Tracking in Comet. The API key is no setting, since settings are stored: set COMET_API_KEY where Dagster runs."""

    mode: Tracking = Field(
        Tracking.disabled,
        description="disabled; online (needs COMET_API_KEY or Comet's own configuration file, goes offline without); "
        "offline: an archive per stage, for `comet upload`.",
    )
    project: str = Field("vnyatno", min_length=1, description="Comet project.")
    workspace: str | None = Field(None, description="Comet workspace. Default: the key owner's own.")

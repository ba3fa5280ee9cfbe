"""The stages' settings as Dagster shows them in the launchpad, and what its forms begin with."""

from __future__ import annotations

from typing import Any, TypeVar

from dagster import Any as AnyValue
from dagster import AssetExecutionContext, Config, ConfigurableResource, Shape
from dagster import Field as FormField
from pydantic import Field

from pipeline import ready
from pipeline.archive.settings import ArchiveSettings
from pipeline.bundling.settings import RollbackSettings, WatchSettings
from pipeline.clips.settings import ClipSettings
from pipeline.defects.settings import (
    CalibrationSettings,
    DefectBundleSettings,
    EncoderSettings,
    HeadSettings,
    MarkerSettings,
    TranscriptSettings,
)
from pipeline.evaluation.settings import JudgingSettings, ScoreSettings
from pipeline.recognition.settings import (
    AsrArchiveSettings,
    AsrBundleSettings,
    AsrClipSettings,
    DatasetSettings,
    RecogniserSettings,
)
from pipeline.run_config import MOVED, moved_to, stage_given
from pipeline.tracking import Tracking, TrackingSettings

_TRACKING = TrackingSettings.model_fields
_WATCH = WatchSettings.model_fields


class ArchiveConfig(ArchiveSettings, Config):
    """`ops.archive.config`."""


class ClipConfig(ClipSettings, Config):
    """`ops.clips.config`."""


class TranscriptConfig(TranscriptSettings, Config):
    """`ops.transcripts.config`."""


class MarkerConfig(MarkerSettings, Config):
    """`ops.markers.config`."""


class EncoderConfig(EncoderSettings, Config):
    """`ops.encoder.config`."""


class HeadConfig(HeadSettings, Config):
    """`ops.heads.config`."""


class CalibrationConfig(CalibrationSettings, Config):
    """`ops.calibration.config`."""


class JudgingConfig(JudgingSettings, Config):
    """`ops.evaluation.config` and `ops.asr_evaluation.config`."""


class BundleConfig(DefectBundleSettings, Config):
    """`ops.bundle.config`."""


class ScoreConfig(ScoreSettings, Config):
    """`ops.scores.config`."""


class WatchConfig(Config):
    """`ops.bundle_input_drift.config`. What is left open is as in `WatchSettings`.

    Without defaults of its own: Dagster writes those of a check into the form of a job that leaves the check out, and
    then refuses the form.
    """

    max_psi: float | None = Field(None, description=_WATCH["max_psi"].description)
    least_answers: int | None = Field(None, description=_WATCH["least_answers"].description)
    max_age_hours: float | None = Field(None, description=_WATCH["max_age_hours"].description)

    def settings(self) -> WatchSettings:
        """What the check is to do. Raises pydantic's `ValidationError` for what is out of bounds."""
        return WatchSettings.model_validate(self.model_dump(exclude_none=True))


class RollbackConfig(RollbackSettings, Config):
    """`ops.previous_bundle.config`."""


class DatasetConfig(DatasetSettings, Config):
    """`ops.asr_archive.config.dataset`."""


class AsrArchiveConfig(AsrArchiveSettings, Config):
    """`ops.asr_archive.config`."""

    dataset: DatasetConfig | None = Field(None, description=AsrArchiveSettings.model_fields["dataset"].description)


class AsrClipConfig(AsrClipSettings, Config):
    """`ops.asr_clips.config`."""


class RecogniserConfig(RecogniserSettings, Config):
    """`ops.recogniser.config`."""


class AsrBundleConfig(AsrBundleSettings, Config):
    """`ops.asr_bundle.config`."""


class Comet(ConfigurableResource):
    """`resources.comet.config`: see `pipeline.tracking.TrackingSettings`."""

    # Any, since YAML reads the bare word `off` of older configurations as false. `pipeline.run_config` checks it.
    mode: Any = Field(Tracking.disabled.value, description=_TRACKING["mode"].description)
    project: str = Field("vnyatno", description=_TRACKING["project"].description)
    workspace: str | None = Field(None, description=_TRACKING["workspace"].description)


Asked = TypeVar("Asked", bound=Config)


def opened(config: type[Asked]) -> FormField:
    """The form of a first stage. It is required, though its fields may not be: Dagster's buttons then open it, instead
    of launching at once, and whoever presses one sees which data the run is about to take.
    """
    fields = config.to_config_schema().as_field()
    return FormField(fields.config_type, is_required=True, description=fields.description)


def form(config: type[Asked], stage: str) -> FormField:
    """The form of any other stage: all of `config`'s fields, at first as a ready configuration has them.

    What a stage is given replaces all of it, and what is then left open has the setting's own default. Settings that
    stood here once are taken as well.
    """
    fields = config.to_config_schema().as_field()
    kind = fields.config_type
    if stage in MOVED and isinstance(kind, Shape):
        kind = Shape({**kind.fields, **{name: _moved_field(name, place) for name, place in MOVED[stage].items()}})
    return FormField(kind, ready.beginning(stage), is_required=False, description=fields.description)


def _moved_field(name: str, place: str) -> FormField:
    return FormField(AnyValue, is_required=False, description=f"Now ops.{place}.config.{name}, where it counts first.")


def settings_of(context: AssetExecutionContext, config: type[Asked]) -> Asked:
    """The settings that a run gives the stage of `context`, those among them that it gives at an earlier place."""
    stage = context.op_execution_context.op.name
    given: dict[str, Any] = dict(context.op_execution_context.op_config)
    if moved := moved_to(stage, context.run.run_config):
        # Where nothing is given at the stage itself, its form's beginning is not what the run was written for.
        given = (given if stage_given(stage, context.run.run_config) else {}) | moved
    return config(**{name: value for name, value in given.items() if name not in MOVED.get(stage, {})})

"""The stages' settings as Dagster shows them in the launchpad."""

from __future__ import annotations

from dagster import Config, ConfigurableResource
from pydantic import Field

from pipeline import settings
from pipeline.recognition import data_settings, evaluation_settings, training_settings
from pipeline.tracking import Tracking, TrackingSettings

_TRACKING = TrackingSettings.model_fields


class ArchiveConfig(settings.ArchiveSettings, Config):
    """`ops.archive.config`."""


class ClipConfig(settings.ClipSettings, Config):
    """`ops.clips.config`."""


class TranscriptConfig(settings.TranscriptSettings, Config):
    """`ops.transcripts.config`."""


class MarkerConfig(settings.MarkerSettings, Config):
    """`ops.markers.config`."""


class EncoderConfig(settings.EncoderSettings, Config):
    """`ops.encoder.config`."""


class HeadConfig(settings.HeadSettings, Config):
    """`ops.heads.config`."""


class EvaluationConfig(settings.EvaluationSettings, Config):
    """`ops.evaluation.config`."""


class BundleConfig(settings.BundleSettings, Config):
    """`ops.bundle.config`."""


class ScoreConfig(settings.ScoreSettings, Config):
    """`ops.scores.config`."""


class WatchConfig(settings.WatchSettings, Config):
    """`ops.bundle_input_drift.config`."""


class RollbackConfig(settings.RollbackSettings, Config):
    """`ops.previous_bundle.config`."""


class DatasetConfig(data_settings.DatasetSettings, Config):
    """`ops.asr_archive.config.dataset`."""


class AsrArchiveConfig(data_settings.AsrArchiveSettings, Config):
    """`ops.asr_archive.config`."""

    dataset: DatasetConfig | None = Field(
        None, description=data_settings.AsrArchiveSettings.model_fields["dataset"].description
    )


class AsrClipConfig(data_settings.AsrClipSettings, Config):
    """`ops.asr_clips.config`."""


class RecogniserConfig(training_settings.RecogniserSettings, Config):
    """`ops.recogniser.config`."""


class AsrEvaluationConfig(evaluation_settings.AsrEvaluationSettings, Config):
    """`ops.asr_evaluation.config`."""


class Comet(ConfigurableResource):
    """`resources.comet.config`: see `pipeline.tracking.TrackingSettings`."""

    mode: Tracking = Field(Tracking.off, description=_TRACKING["mode"].description)
    project: str = Field("vnyatno", description=_TRACKING["project"].description)
    workspace: str | None = Field(None, description=_TRACKING["workspace"].description)

"""The stages of the recipe `asr` and their settings."""

from __future__ import annotations

from pipeline.recognition.data_settings import AsrArchiveSettings, AsrClipSettings
from pipeline.recognition.evaluation_settings import AsrEvaluationSettings
from pipeline.recognition.training_settings import RecogniserSettings
from pipeline.settings import BundleSettings, ScoreSettings, Settings

STAGES: dict[str, type[Settings]] = {
    "asr_archive": AsrArchiveSettings,
    "asr_clips": AsrClipSettings,
    "recogniser": RecogniserSettings,
    "asr_evaluation": AsrEvaluationSettings,
    "asr_bundle": BundleSettings,
    "asr_scores": ScoreSettings,
}

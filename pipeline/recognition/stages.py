"""The stages of the recipe `asr` and their settings."""

from __future__ import annotations

from pipeline.recognition.data_settings import AsrArchiveSettings, AsrClipSettings
from pipeline.settings import Settings

STAGES: dict[str, type[Settings]] = {
    "asr_archive": AsrArchiveSettings,
    "asr_clips": AsrClipSettings,
}

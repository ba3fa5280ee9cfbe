"""The stages' settings as the rooms take them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pipeline.archive.budget import UnpackLimits
from pipeline.archive.drive_links import is_drive_link, parse_drive_link
from pipeline.archive.options import FetchOptions
from pipeline.clips.options import ClipOptions
from pipeline.recognition.data_settings import AsrClipSettings
from pipeline.run_config import RunConfigError
from pipeline.settings import ArchiveSettings, ClipSettings, MarkerSettings, TranscriptSettings
from speech.home import Home
from speech.whisper.backend import WhisperOptions
from speech.whisper.markers import ConfidenceLimits

_SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def fetch_options(settings: ArchiveSettings, home: Home) -> FetchOptions:
    """How the settings say that archives are fetched; local ones below `archive_roots` too."""
    return FetchOptions(
        allowed_roots=(*archive_roots(home), *(Path(root) for root in settings.allowed_roots)),
        allow_private_network=settings.allow_private_network,
        timeout_seconds=settings.timeout_seconds,
        retries=settings.retries,
        max_download_bytes=settings.max_download_bytes,
        refresh=settings.refresh,
    )


def unpack_limits(settings: ArchiveSettings) -> UnpackLimits:
    """How much an archive may hold."""
    return UnpackLimits(max_files=settings.max_files, max_bytes=settings.max_unpacked_bytes)


def archive_roots(home: Home) -> tuple[Path, ...]:
    """Folders for local archives: VNYATNO_ARCHIVE_ROOTS, or samples/ and VNYATNO_HOME/archives."""
    named = os.environ.get("VNYATNO_ARCHIVE_ROOTS")
    if named:
        return tuple(Path(root) for root in named.split(os.pathsep) if root)
    return (_SAMPLES, home.root / "archives")


def namespaces(settings: ArchiveSettings, stage: str = "archive") -> list[str]:
    """A name per source that keeps its speakers apart from others'. Raises `RunConfigError` where two are equal."""
    names = settings.namespaces or [_name(source) for source in settings.sources]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise RunConfigError(
            f"ops.{stage}.config.namespaces: two sources would both be called {double!r}, and their speakers be mixed "
            "up; give each source a name of its own there"
        )
    return names


def _name(source: str) -> str:
    if is_drive_link(source):
        return parse_drive_link(source).id
    return Path(source.split("?")[0].rstrip("/")).stem or source


def clip_options(settings: ClipSettings | AsrClipSettings) -> ClipOptions:
    """The settings as the clips room takes them."""
    if isinstance(settings, AsrClipSettings):
        least = ClipOptions(
            min_clips_per_class=settings.min_clips_per_split, min_speakers_per_class=1, content_without_speakers=True
        )
    else:
        least = ClipOptions(
            min_clips_per_class=settings.min_clips_per_class, min_speakers_per_class=settings.min_speakers_per_class
        )
    return replace(
        least,
        min_seconds=settings.min_seconds,
        max_seconds=settings.max_seconds,
        silence_dbfs=settings.silence_dbfs,
        decoder_timeout_seconds=settings.decoder_timeout_seconds,
        max_bad_share=settings.max_bad_share,
        validation_share=settings.validation_share,
        test_share=settings.test_share,
        use_split_column=settings.use_split_column,
        seed=settings.seed,
    )


def whisper_options(settings: TranscriptSettings, language: str) -> WhisperOptions:
    """The settings as `speech.whisper.loading` takes them."""
    return WhisperOptions(
        backend=settings.backend.value.replace("_", "-"),
        model=settings.model,
        language=language,
        device=settings.device.value,
        compute_type=settings.compute_type.value,
        beam_size=settings.beam_size,
        threads=settings.threads,
        initial_prompt=settings.initial_prompt,
    )


def confidence_limits(settings: MarkerSettings) -> ConfidenceLimits:
    """The settings as `speech.whisper.markers` takes them."""
    return ConfidenceLimits(
        min_word_probability=settings.min_word_probability,
        max_no_speech=settings.max_no_speech,
        max_compression=settings.max_compression,
    )

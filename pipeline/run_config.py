"""The whole run configuration, checked before anything is downloaded.

Dagster refuses unknown fields and wrong types at launch, but looks at bounds only when a stage starts, hours later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipeline.archive.settings import ArchiveSettings
from pipeline.bundling.selection import bundle_id
from pipeline.bundling.settings import WatchSettings
from pipeline.clips.settings import ClipSettings, CorpusSettings
from pipeline.defects import settings as defects
from pipeline.defects.settings import (
    DefectBundleSettings,
    EncoderSettings,
    TranscriptSettings,
    TranscriptSource,
)
from pipeline.recognition import settings as recognition
from pipeline.recognition.settings import AsrArchiveSettings
from pipeline.settings import Device, Settings
from pipeline.tracking import TrackingSettings
from speech.bundles.defects import BundleError
from speech.hardware.devices import read_hardware
from speech.home import Home
from speech.text.language import LanguageError, load_language
from speech.whisper.loading import card_missing

STAGES: dict[str, type[Settings]] = defects.STAGES | recognition.STAGES  # of both recipes
CHECKS: dict[str, type[Settings]] = {"bundle_input_drift": WatchSettings}  # of a finished bundle, in a run or alone
# Settings that stood in another stage once: there, by name, the stage that they belong to now.
MOVED: dict[str, dict[str, str]] = {
    "evaluation": {
        **dict.fromkeys(("max_accepted_error", "fewest_letters"), "calibration"),
        **dict.fromkeys(
            ("min_macro_f1", "max_regression", "max_regression_risk", "allow_zero_class", "min_class_f1"), "bundle"
        ),
    },
    "asr_evaluation": dict.fromkeys(("max_wer", "max_regression", "max_regression_risk"), "asr_bundle"),
}
_REACH = ("namespaces", "allowed_roots", "allow_private_network")  # what the run lets a source be


class RunConfigError(ValueError):
    """The run configuration cannot work; the message lists every field with its allowed values."""


def check(run_config: Mapping[str, Any], home: Home) -> dict[str, Settings]:
    """Parse every stage's settings; stage name to settings. Raises `RunConfigError` with all problems at once."""
    parsed: dict[str, Settings] = {}
    problems: list[str] = []
    for stage, values in _given(run_config).items():
        if stage not in STAGES | CHECKS:
            problems.append(f"ops.{stage}: there is no such stage; the stages are {', '.join(STAGES)}")
            continue
        try:
            settings = (STAGES | CHECKS)[stage].model_validate(values)
        except ValidationError as error:
            problems += [_sentence(f"ops.{stage}", detail) for detail in error.errors()]
        else:
            if stage in STAGES:
                parsed[stage] = settings
    problems += _tracking(run_config) + _devices(parsed)
    clips = parsed.get("clips", ClipSettings() if "archive" in parsed else None)
    if isinstance(clips, ClipSettings):
        problems += _classes(clips) + _floors(parsed.get("bundle"), clips)
    for stage in ("clips", "asr_clips"):
        if isinstance(corpus := parsed.get(stage), CorpusSettings):
            problems += _columns(stage, corpus)
    encoder = parsed.get("encoder")
    if isinstance(encoder, EncoderSettings) and encoder.init_from is not None:
        problems += _bundle("encoder.config.init_from", encoder.init_from, home)
    if problems:
        raise RunConfigError("the run configuration cannot work, nothing was downloaded:\n" + "\n".join(problems))
    return parsed


def _given(run_config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Stage name to what the run gives it. In a run of both recipes the recogniser learns from the archive of the other
    one, unless it is given sources or a dataset of its own.
    """
    given = _as_given(run_config)
    for stage, moved in MOVED.items():
        for place in dict.fromkeys(moved.values()) if stage in given else ():
            if values := moved_to(place, run_config):
                given[place] = given.get(place, {}) | values
        if stage in given:
            given[stage] = {name: value for name, value in given[stage].items() if name not in moved}
    archive, other = given.get("archive"), given.get("asr_archive")
    if archive and other is not None and not other.get("sources") and not other.get("dataset"):
        shared = {name: archive[name] for name in ("sources", *_REACH) if name in archive}
        given["asr_archive"] = other | (shared if _named(archive) else {})
    return given


def moved_to(stage: str, run_config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run gives a stage at the place where these settings stood once, and not in the stage's own."""
    given = _as_given(run_config)
    own = given.get(stage, {})
    return {
        name: given[before][name]
        for before, moved in MOVED.items()
        for name, place in moved.items()
        if place == stage and name in given.get(before, {}) and name not in own
    }


def stage_given(stage: str, run_config: Mapping[str, Any]) -> bool:
    """Whether a run gives the stage anything at its own place."""
    return stage in (run_config.get("ops") or {})


def _as_given(run_config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage: (op or {}).get("config") or {} for stage, op in (run_config.get("ops") or {}).items()}


def _named(archive: Mapping[str, Any]) -> bool:
    try:
        return bool(ArchiveSettings.model_validate(archive))
    except ValidationError:
        return False


def _sentence(place: str, detail: Any) -> str:
    field = ".".join([place, "config", *map(str, detail["loc"])])
    given = "" if detail["type"] == "missing" or not detail["loc"] else f" (given: {detail['input']!r})"
    return f"{field}: {str(detail['msg']).removeprefix('Value error, ')}{given}"


def _classes(settings: ClipSettings) -> list[str]:
    try:
        language = load_language(settings.language)
    except LanguageError as error:
        return [f"ops.clips.config.language: {error}"]
    known = ", ".join(language.classes)
    problems = [
        f"ops.clips.config.classes: {name!r} is no class of the language {settings.language}; there are {known}"
        for name in settings.classes
        if name not in language.classes
    ]
    return problems + [
        f"ops.clips.config.label_aliases: {name!r} is none of the classes {', '.join(settings.classes)}"
        for name in settings.label_aliases
        if name not in settings.classes
    ]


def _columns(stage: str, settings: CorpusSettings) -> list[str]:
    try:
        language = load_language(settings.language)
    except LanguageError as error:
        # The defects' classes are looked up in the language and say it already.
        return [] if isinstance(settings, ClipSettings) else [f"ops.{stage}.config.language: {error}"]
    return [
        f"ops.{stage}.config.column_aliases: there is no role {role!r}; the roles are {', '.join(language.columns)}"
        for role in settings.column_aliases
        if role not in language.columns
    ]


def _floors(bundle: Settings | None, clips: ClipSettings) -> list[str]:
    if not isinstance(bundle, DefectBundleSettings):
        return []
    field = "ops.bundle.config.min_class_f1"
    problems = []
    for name, least in bundle.min_class_f1.items():
        if name not in clips.classes:
            problems.append(f"{field}.{name}: {name!r} is none of the classes {', '.join(clips.classes)}")
        if not 0 <= least <= 1:
            problems.append(f"{field}.{name}: between 0 and 1 (given: {least})")
    return problems


def _tracking(run_config: Mapping[str, Any]) -> list[str]:
    comet = ((run_config.get("resources") or {}).get("comet") or {}).get("config") or {}
    try:
        TrackingSettings.model_validate({name: value for name, value in comet.items() if name == "mode"})
    except ValidationError as error:
        return [_sentence("resources.comet", detail) for detail in error.errors()]
    return []


def _devices(parsed: Mapping[str, Settings]) -> list[str]:
    problems = []
    for stage, settings in parsed.items():
        if getattr(settings, "device", None) is not Device.cuda:
            continue
        missing = _whisper_lacks(settings) if isinstance(settings, TranscriptSettings) else read_hardware().no_card
        if missing:
            problems.append(f"ops.{stage}.config.device: cuda, but {missing}; or use auto or cpu")
    return problems


def _whisper_lacks(settings: TranscriptSettings) -> str:
    """What keeps Whisper from a card; CTranslate2 asks neither torch nor its libraries."""
    if settings.source is TranscriptSource.text_column:
        return ""
    return card_missing(settings.library)


def _bundle(field: str, name: str, home: Home) -> list[str]:
    try:
        bundle_id(name, home)
    except BundleError as error:
        return [f"ops.{field}: {error}"]
    return []


def asr_archive_settings(parsed: Mapping[str, Settings]) -> AsrArchiveSettings:
    """The recogniser's archive of a checked run configuration: by default that of the defects in the same run, else the
    seed's dataset."""
    settings = parsed.get("asr_archive")
    if settings is None and isinstance(archive := parsed.get("archive"), ArchiveSettings):
        return AsrArchiveSettings.model_validate(archive.model_dump())
    settings = settings or AsrArchiveSettings()
    assert isinstance(settings, AsrArchiveSettings)
    return settings


def archive_settings(parsed: Mapping[str, Settings]) -> ArchiveSettings:
    """The archive's settings of a checked run configuration."""
    settings = parsed.get("archive")
    if not isinstance(settings, ArchiveSettings):
        raise RunConfigError("ops.archive.config.sources: name at least one archive")
    return settings

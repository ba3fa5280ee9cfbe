"""The names that keep the speakers of several archives apart."""

from __future__ import annotations

from pathlib import Path

from pipeline.archive.drive_links import is_drive_link, parse_drive_link
from pipeline.archive.settings import ArchiveSettings


class NamespaceError(ValueError):
    """Two sources would have one name; the message names the setting."""


def namespaces(settings: ArchiveSettings, stage: str = "archive") -> list[str]:
    """A name per source that keeps its speakers apart from others'. Raises `NamespaceError` where two are equal."""
    names = settings.namespaces or [_name(source) for source in settings.sources]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise NamespaceError(
            f"ops.{stage}.config.namespaces: two sources would both be called {double!r}, and their speakers be mixed "
            "up; give each source a name of its own there"
        )
    return names


def companion_names(settings: ArchiveSettings) -> list[str]:
    """A name for each companion that no source has."""
    return [f"companion-{number}-{_name(source)}" for number, source in enumerate(settings.companions, start=1)]


def _name(source: str) -> str:
    if is_drive_link(source):
        return parse_drive_link(source).id
    return Path(source.split("?")[0].rstrip("/")).stem or source

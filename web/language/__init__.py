"""What people read, in Russian and English: one YAML catalogue a language, plurals, dates and numbers by Babel.

    text("progress_recordings", "ru", count=5)

A catalogue's value is a sentence with `{values}`, or a mapping of plural categories (`one`, `few`, `many`, `other`)
from which the value `count` chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path

import yaml
from babel import Locale, dates, numbers, units

LANGUAGES = {"ru": "Русский", "en": "English"}
DEFAULT = "en"
_FOLDER = Path(__file__).resolve().parent

Catalogue = Mapping[str, str | Mapping[str, str]]


@cache
def catalogue(language: str) -> Catalogue:
    """All texts of a language by key."""
    values: Catalogue = yaml.safe_load((_FOLDER / f"{language}.yaml").read_text(encoding="utf-8"))
    return values


def text(key: str, language: str, **values: object) -> str:
    """A text. Whole numbers in `values` are written as the language does; `KeyError` for a key without a text."""
    found = catalogue(language)[key]
    if not isinstance(found, str):
        count = values["count"]
        if not isinstance(count, int | float):
            raise TypeError(f"{key}: count must be a number")
        found = found[Locale(language).plural_form(count)]
    return found.format(**{name: _shown(value, language) for name, value in values.items()})


def chosen(wanted: str | None, accept_language: str | None = None) -> str:
    """The language to speak: what was chosen before, or else the first that the browser lists and there is."""
    if wanted in LANGUAGES:
        return str(wanted)
    for part in (accept_language or "").split(","):
        code = part.partition(";")[0].strip().lower().partition("-")[0]
        if code in LANGUAGES:
            return code
    return DEFAULT


def number(value: float, language: str, digits: int | None = None) -> str:
    """A number; `digits` after the point, or as many as it has (three at most)."""
    pattern = None if digits is None else "#,##0" + ("." + "0" * digits if digits else "")
    return numbers.format_decimal(value, pattern, locale=language)


def percent(value: float, language: str) -> str:
    """A share, 0 to 1, as whole per cent."""
    return numbers.format_percent(value, locale=language)


def day(value: date | datetime, language: str) -> str:
    """25 ноября 2026 г., November 25, 2026."""
    return dates.format_date(value, "long", locale=language)


def moment(value: datetime, language: str, zone: str | None = None) -> str:
    """A date with the time, in the time zone `zone` (`Europe/Moscow`), or UTC where it is unknown."""
    try:
        place = dates.get_timezone(zone or "UTC")
    except LookupError:
        place = dates.UTC
    return dates.format_datetime(value, "medium", tzinfo=place, locale=language)


def duration(seconds: float, language: str) -> str:
    """A stretch of time in one unit: 40 секунд, 3 hours."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * size:
            return units.format_unit(round(seconds / size), unit, "long", locale=language)
    return units.format_unit(max(1, round(seconds)), "second", "long", locale=language)


def size(count: int, language: str) -> str:
    """So many bytes in megabytes, or kilobytes where it is less than one."""
    unit, scale = ("megabyte", 1e6) if count >= 1e6 else ("kilobyte", 1e3)
    return units.format_unit(round(count / scale, 1), f"digital-{unit}", "short", locale=language)


def _shown(value: object, language: str) -> object:
    return number(value, language) if isinstance(value, int) and not isinstance(value, bool) else value

"""Days as tables and file names write them."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache

from babel.dates import get_month_names

from web.language import LANGUAGES

_WORD = r"[^\W\d_]"
_DATES = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?P<year>\d{4})([-./])(?P<month>\d{1,2})\2(?P<day>\d{1,2})",
        r"(?P<day>\d{1,2})([-./])(?P<month>\d{1,2})\2(?P<year>\d{4}|\d{2})",
        r"(?P<year>20\d\d)(?P<month>\d\d)(?P<day>\d\d)",
        rf"(?P<day>\d{{1,2}})[ .-]+(?P<month>{_WORD}{{3,}})[ .,-]+(?P<year>\d{{4}})(?: ?{_WORD}{{1,4}}\.?)?",
        rf"(?P<month>{_WORD}{{3,}})[ .]+(?P<day>\d{{1,2}}),? (?P<year>\d{{4}})",
    )
)
# The time of day, which is not asked for: 14:05, 2:05 PM, T14:05:00.000+03:00, T140500.
_TIME = re.compile(
    r"(?:T|,? +)\d{1,2}(?::?\d{2}(?::?\d{2}(?:[.,]\d+)?)?)?"
    r"(?: ?[ap]\.?m\.?)?(?: ?(?:Z|UTC|GMT)?[+-]?(?:\d{2}:?\d{2})?)?",
    re.IGNORECASE,
)
_IN_NAME = re.compile(
    r"(?<!\d)(20\d\d)([-_.]?)(\d\d)\2(\d\d)(?!\d)|(?<!\d)(\d\d)([-_.])(\d\d)\6(20\d\d)(?!\d)",
)
_SERIAL = re.compile(r"(\d{5})(?:[.,]\d+)?")
_SERIAL_ZERO = date(1899, 12, 30)  # from which Excel counts days


def read_day(cell: str) -> date:
    """The day that a cell names, with or without the time of day. Raises ValueError.

    03/11/2026 is the third of November: months before days are no date here, unless as words.
    """
    cell = " ".join(cell.split())
    for form in _DATES:
        found = form.match(cell)
        if found and (found.end() == len(cell) or _TIME.fullmatch(cell, found.end())):
            year = int(found["year"])
            return date(year + 2000 if year < 100 else year, _month(found["month"]), int(found["day"]))
    serial = _SERIAL.fullmatch(cell)
    if serial:
        return _SERIAL_ZERO + timedelta(days=int(serial[1]))
    raise ValueError(f"no date: {cell!r}")


def day_in(name: str) -> date | None:
    """The first day in a part of a file's name."""
    for found in _IN_NAME.finditer(name):
        year, _, month, day, early, _, middle, late = found.groups()
        try:
            return date(int(year), int(month), int(day)) if year else date(int(late), int(middle), int(early))
        except ValueError:
            continue
    return None


def before_day(name: str) -> str | None:
    """What stands in a name before its first day; None where there is no day."""
    found = _IN_NAME.search(name)
    return None if found is None else name[: found.start()]


def _month(written: str) -> int:
    """1 to 12, of a number, a month's name in one of our languages, or the beginning of one. Raises ValueError."""
    if written.isdecimal():
        return int(written)
    found = {number for name, number in _months() if name.startswith(written.casefold())}
    if len(found) != 1:
        raise ValueError(f"no month: {written!r}")
    return found.pop()


@cache
def _months() -> list[tuple[str, int]]:
    return [
        (name.casefold(), number)
        for language in LANGUAGES
        for context in ("format", "stand-alone")
        for number, name in get_month_names("wide", context, language).items()
    ]

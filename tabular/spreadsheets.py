"""File names that a spreadsheet took for numbers or dates: 0001 became 1, 79012345678 became 7,9E+10."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_DOWN, Context, Decimal

_NUMBER = re.compile(r"([+-]?)(\d[\d ]*)(?:[.,](\d*))?(?:e([+-]?\d{1,3}))?", re.IGNORECASE)
_MONTHS = "янв|фев|мар|апр|ма[йя]|июн|июл|авг|сен|окт|ноя|дек|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"\d{{1,4}}([-./])\d{{1,2}}\1\d{{1,4}}(?: \d+:\d+(?::\d+)?)?"
    rf"|\d{{1,2}}[-. ](?:{_MONTHS})\w*(?:[-. ]\d{{2,4}})?|(?:{_MONTHS})\w*[-. ]\d{{2,4}}",
    re.IGNORECASE,
)
_ERROR = re.compile(r"#[\w/]+[?!]?|#{3,}")
_DIGITS_KEPT = 15  # of a number in Excel; the others become zeros
_NAMED = 3
UNCALCULATED = "=?"
"""What stands for a formula whose value a workbook does not hold."""
_ERRORS = frozenset(
    {"#n/a", "#name?", "#ref!", "#value!", "#div/0!", "#num!", "#null!", "#spill!", "#calc!"}
    | {"#н/д", "#имя?", "#ссылка!", "#знач!", "#дел/0!", "#число!", "#пусто!"}
)
_REMEDY = "format the column as text and write the names again"


def fault_of(cell: str) -> str | None:
    """What is wrong with a cell that holds a spreadsheet's error, or a formula without its value, with the remedy."""
    if cell == UNCALCULATED:
        return "a formula whose value the workbook does not hold; open it in a spreadsheet program and save it"
    if cell.casefold() in _ERRORS:
        return f"a spreadsheet's error, {cell}; mend the cell or empty it"
    return None


class ChangedNames:
    """The names of files that a spreadsheet may have changed; `stems` are without folders and extensions."""

    def __init__(self, stems: Iterable[str]) -> None:
        found = ((stem, _NUMBER.fullmatch(stem)) for stem in stems)
        self._numbers = [(stem, _value(number)) for stem, number in found if number and not number[4]]
        self._shown: dict[int, dict[Decimal, list[str]]] = {}

    def hint(self, name: str) -> str:
        """What may have become of a file's name that is `name` now, with the remedy; empty where nothing is seen."""
        name = name.strip()
        if name == UNCALCULATED:
            return f"it is {fault_of(name)}"
        if _ERROR.fullmatch(name):
            return f"it is a spreadsheet's error; {_REMEDY}"
        number = _NUMBER.fullmatch(name)
        if number is not None:
            digits = len(f"{number[2].replace(' ', '').lstrip('0')}{number[3] or ''}") if number[4] else _DIGITS_KEPT
            meant = [stem for stem in self._shown_by(max(1, digits)).get(_value(number), []) if stem != name]
            if meant:
                some = ", ".join(dict.fromkeys(meant[:_NAMED]))
                return f"a spreadsheet seems to have made a number of the name {some}: {_REMEDY}"
            if number[4]:
                return f"a spreadsheet has shortened a number to this: {_REMEDY}"
        if _DATE.fullmatch(name):
            return f"if a spreadsheet has made a date of the name, {_REMEDY}"
        return ""

    def _shown_by(self, digits: int) -> dict[Decimal, list[str]]:
        """What a spreadsheet that keeps so many digits shows, to the names that it shows so."""
        if digits not in self._shown:
            shown = self._shown[digits] = {}
            for stem, value in self._numbers:
                for short in {value, *_shortened(value, digits)}:
                    shown.setdefault(short, []).append(stem)
        return self._shown[digits]


def _value(number: re.Match[str]) -> Decimal:
    return Decimal(f"{number[1]}{number[2].replace(' ', '')}.{number[3] or '0'}E{number[4] or '0'}")


def _shortened(value: Decimal, digits: int) -> tuple[Decimal, Decimal]:
    """`value` to so many digits: rounded, as a spreadsheet shows it, and cut, as it keeps it."""
    return Context(prec=digits).plus(value), Context(prec=digits, rounding=ROUND_DOWN).plus(value)

"""Figures of many calls: shares, distributions, groups, order. Plain functions of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import get_args

from web.calls.results import Call
from web.service.prediction import Verdict

VERDICTS: tuple[str, ...] = get_args(Verdict)
BINS = 10
ORDERS = ("worst", "best", "name", "operator", "day", "long")
_Z = 1.959964  # two-sided 95%


@dataclass(frozen=True)
class Group:
    """Calls of one operator or day and one defect. `share` of those in which it could be told that have it, 0 to 1,
    and between what it lies with 95% confidence (Wilson's interval); None where it could be told in none."""

    name: str
    defect: str
    calls: int
    assessed: int
    heard: int
    share: float | None
    low: float | None
    high: float | None


def counts(calls: Iterable[Call], defect: str) -> dict[str, int]:
    """How many calls have each verdict on a defect; what was not judged at all counts as nothing."""
    found = dict.fromkeys(VERDICTS, 0)
    for call in calls:
        if defect in call.probabilities:
            found[call.words.get(defect, "not_assessable")] += 1
    return found


def histogram(calls: Iterable[Call], defect: str) -> list[int]:
    """Calls by probability in `BINS` equal bins from 0 to 1; those that could not be told of are left out."""
    found = [0] * BINS
    for call in calls:
        value = call.assessed(defect)
        if value is not None:
            found[min(BINS - 1, int(value * BINS))] += 1
    return found


def grouped(calls: Iterable[Call], defect: str, name_of: Callable[[Call], str]) -> list[Group]:
    """A group for each name but the empty one, by name."""
    members: dict[str, list[Call]] = {}
    for call in calls:
        if defect in call.probabilities and name_of(call):
            members.setdefault(name_of(call), []).append(call)
    return [_group(name, defect, members[name]) for name in sorted(members)]


def operator_of(call: Call) -> str:
    """For `grouped`."""
    return call.who.operator


def day_of(call: Call) -> str:
    """For `grouped`: ISO 8601."""
    return call.who.day.isoformat() if call.who.day else ""


def level(call: Call, defect: str = "") -> float | None:
    """How bad a call is: the probability of a defect, or of the most probable one that could be told."""
    if defect:
        return call.assessed(defect)
    values = [value for each in call.probabilities if (value := call.assessed(each)) is not None]
    return max(values, default=None)


def searched(calls: Iterable[Call], wanted: str) -> list[Call]:
    """Calls whose file, operator or day hold every word, in any case."""
    words = wanted.casefold().split()
    return [call for call in calls if all(word in _haystack(call) for word in words)]


def ordered(calls: Sequence[Call], order: str, defect: str = "") -> list[Call]:
    """Calls in one of `ORDERS`; what has no such value comes last."""

    def by_level(call: Call) -> tuple[bool, float]:
        value = level(call, defect)
        return value is None, (0.0 if value is None else value if order == "best" else -value)

    keys: dict[str, Callable[[Call], tuple[object, ...]]] = {
        "name": lambda call: (call.file.casefold(),),
        "operator": lambda call: (not call.who.operator, call.who.operator.casefold(), call.file.casefold()),
        "day": lambda call: (call.who.day is None, day_of(call), call.file.casefold()),
        "long": lambda call: (-call.seconds,),
    }
    return sorted(calls, key=keys.get(order, by_level))


def paged(calls: Sequence[Call], page: int, size: int) -> list[Call]:
    """A page, counted from 1."""
    return list(calls[(page - 1) * size : page * size])


def wilson(heard: int, of: int) -> tuple[float, float]:
    """Between what a share lies with 95% confidence (Wilson 1927); `of` is at least 1."""
    share, extra = heard / of, _Z**2 / of
    middle = (share + extra / 2) / (1 + extra)
    half = _Z * sqrt(share * (1 - share) / of + extra / (4 * of)) / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)


def _group(name: str, defect: str, calls: list[Call]) -> Group:
    found = counts(calls, defect)
    assessed, heard = len(calls) - found["not_assessable"], found["yes"]
    if not assessed:
        return Group(name, defect, len(calls), 0, 0, None, None, None)
    return Group(name, defect, len(calls), assessed, heard, heard / assessed, *wilson(heard, assessed))


def _haystack(call: Call) -> str:
    return f"{call.file}\n{call.who.operator}\n{day_of(call)}".casefold()

"""The service's results of an archive, line by line, as rows: one a side of a call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from web.calls.people import Who
from web.service import OddAnswer
from web.service.prediction import NONE, Verdict

MOST_PLACES = 30
"""Of one call that are shown, the clearest."""


class _Side(BaseModel):
    side: int | None = None
    classes: list[str] = []
    probabilities: list[float] = []
    words: dict[str, Verdict] = {}
    shares: dict[str, float] = {}
    seconds: float = Field(default=0.0, ge=0)
    speech_seconds: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> _Side:
        if len(self.classes) != len(self.probabilities) or not all(0 <= value <= 1 for value in self.probabilities):
            raise ValueError("probabilities do not go with classes")
        return self


class _Place(BaseModel):
    defect: str
    start: float = Field(ge=0)
    end: float = Field(ge=0)
    score: float = 0.0


class _Window(BaseModel):
    side: int | None = None
    start: float = Field(ge=0)
    end: float = Field(ge=0)
    labels: list[str] = []
    classes: list[str] = []
    probabilities: list[float] = []
    places: list[_Place] = []


class _Record(BaseModel):
    file: str
    state: Literal["done", "failed", "cancelled"]
    code: str = ""
    detail: str = ""
    bundle: str = ""
    verdicts: list[_Side] = []


@dataclass(frozen=True)
class Call:
    """One side of a call, or a whole one. `line`: where the results tell of it. `side`: 0 or 1, None for the whole.

    `probabilities` (0 to 1), `words` and `shares` (of its speech) are by defect; empty where nothing was judged. `code`
    and `detail` say why. Seconds are of the recording, and of speech in it.
    """

    line: int
    file: str
    side: int | None
    state: str
    code: str
    detail: str
    bundle: str
    probabilities: Mapping[str, float]
    words: Mapping[str, Verdict]
    shares: Mapping[str, float]
    seconds: float
    speech_seconds: float
    who: Who = field(default_factory=Who)

    def assessed(self, defect: str) -> float | None:
        """The probability of a defect, None where it could not be told."""
        told = self.words.get(defect, "not_assessable") != "not_assessable"
        return self.probabilities.get(defect) if told else None


@dataclass(frozen=True)
class Spot:
    """A stretch of a call, in seconds, in which a defect is heard; `score` orders spots."""

    defect: str
    start: float
    end: float
    score: float


def read_calls(lines: Iterable[bytes]) -> list[Call]:
    """All rows, in the order of the results. Raises `OddAnswer` for what are none."""
    calls: list[Call] = []
    for at, value in enumerate(_objects(lines)):
        try:
            record = _Record.model_validate(value)
        except ValidationError as error:
            raise OddAnswer(f"line {at + 1} of results: {error.errors(include_input=False)[0]}") from error
        calls += _rows(at, record)
    return calls


def spots_of(lines: Iterable[bytes], line: int, side: int | None) -> list[Spot]:
    """Where defects are heard in the call that this line tells of, the earliest first. Raises `OddAnswer`."""
    value = next(_objects(islice(lines, line, line + 1)), {})
    try:
        windows = [_Window.model_validate(window) for window in value.get("windows") or ()]
    except (ValidationError, TypeError) as error:
        raise OddAnswer(f"line {line + 1} of results holds windows that cannot be read") from error
    spots = [spot for window in windows if window.side == side for spot in _spots(window)]
    return sorted(sorted(spots, key=lambda spot: -spot.score)[:MOST_PLACES], key=lambda spot: spot.start)


def with_who(calls: Iterable[Call], who: Mapping[str, Who]) -> list[Call]:
    """The calls, each with who spoke and when."""
    return [replace(call, who=who.get(call.file, call.who)) for call in calls]


def defects_of(calls: Iterable[Call]) -> list[str]:
    """All defects that any call was judged for."""
    return list(dict.fromkeys(defect for call in calls for defect in call.probabilities))


def _objects(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for at, line in enumerate(lines):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise OddAnswer(f"line {at + 1} of results is no JSON") from error
        if not isinstance(value, dict):
            raise OddAnswer(f"line {at + 1} of results is no object")
        yield value


def _rows(at: int, record: _Record) -> list[Call]:
    sides = record.verdicts or [_Side()]
    rows = []
    for side in sides:
        paired = zip(side.classes, side.probabilities, strict=True)
        probabilities = {name: value for name, value in paired if name != NONE}
        shares = {name: side.shares.get(name, 0.0) for name in probabilities}
        rows.append(
            Call(
                at, record.file, side.side, record.state, record.code, record.detail, record.bundle,
                probabilities, side.words, shares, side.seconds, side.speech_seconds,
            )
        )  # fmt: skip
    return rows


def _spots(window: _Window) -> list[Spot]:
    """A window's places of the defects that it was decided to have; where it has none of one, the window itself."""
    by_class = dict(zip(window.classes, window.probabilities, strict=False))
    spots = []
    for defect in window.labels:
        if defect not in by_class or defect == NONE:
            continue
        places = [place for place in window.places if place.defect == defect]
        spots += [Spot(defect, place.start, place.end, by_class[defect] * place.score) for place in places]
        if not places:
            spots.append(Spot(defect, window.start, window.end, 0.0))
    return spots

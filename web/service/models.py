"""What the page of models takes out of the service's answers, checked."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from web.service.errors import OddAnswer
from web.service.prediction import Card

Answer = TypeVar("Answer", bound=BaseModel)


class Condition(BaseModel):
    """A condition of the gate."""

    name: str
    passed: bool
    detail: str = ""


class ClassFigures(BaseModel):
    """Of one class on the test split, 0 to 1; `clips` that have it."""

    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    clips: int | None = None


class Figures(BaseModel):
    """Of a bundle on the test split, 0 to 1; `majority_macro_f1` of always answering the most frequent class."""

    clips: int | None = None
    macro_f1: float | None = None
    accuracy: float | None = None
    majority_macro_f1: float | None = None
    per_class: dict[str, ClassFigures] = {}


class Limits(BaseModel):
    """What is taken: seconds of sound, bytes of a file."""

    min_seconds: float
    max_seconds: float
    max_upload_bytes: int


class InService(BaseModel):
    """What `GET /api/model` says of every recipe's bundle."""

    bundle: str
    published: str = ""
    limits: Limits | None = None
    gate: list[Condition] = Field(default=[])
    gate_override: str | None = None
    lineage: dict[str, Any] = Field(default={})


class FullCard(Card, InService):
    """All of `GET /api/model` that is shown."""

    metrics: Figures = Figures()


class RecogniserFigures(BaseModel):
    """Of a recogniser on the test split, in errors a word or letter spoken: 0 and up."""

    clips: int | None = None
    wer: float | None = None
    cer: float | None = None


class RecogniserCard(InService):
    """All of `GET /api/model?recipe=asr` that is shown."""

    metrics: RecogniserFigures = RecogniserFigures()


class Scores(BaseModel):
    """As in the list of bundles."""

    macro_f1: float | None = None
    calibration_error: float | None = None
    wer: float | None = None
    cer: float | None = None
    test_clips: int | None = None
    test_speakers: int | None = None


class Listed(BaseModel):
    """A bundle in the list; `state` as the service names it."""

    id: str
    state: str
    reasons: list[str] = []
    created: str | None = None
    scores: Scores = Scores()
    bytes: int = 0


class BundlePage(BaseModel):
    """A page of `GET /api/models`, newest first."""

    bundles: list[Listed]
    total: int
    current: str | None = None
    previous: str | None = None
    pointer_error: str | None = None


class Drift(BaseModel):
    """`GET /api/drift`: how far each figure has moved from the training data (PSI) in so many answers, and how far it
    seems to by chance, of services that tell."""

    answers: int = 0
    psi: dict[str, float] = {}
    by_chance: dict[str, float] = {}


class Change(BaseModel):
    """The pointer moved: `action` published, rolled_back or found."""

    at: str
    action: str
    before: str | None = None
    after: str


class History(BaseModel):
    """`GET /api/model/history`, the latest first."""

    changes: list[Change] = []


def read(kind: type[Answer], answer: dict[str, Any]) -> Answer:
    """Raises `OddAnswer` for what is none of this kind."""
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        raise OddAnswer(f"no {kind.__name__} that can be read: {error.errors(include_input=False)[0]}") from error

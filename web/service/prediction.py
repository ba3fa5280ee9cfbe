"""What pages take out of the service's answers, checked: an answer may come from an older or a newer service."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from web.service.errors import OddAnswer

NONE = "none"
Verdict = Literal["yes", "no", "unsure", "not_assessable"]


class Place(BaseModel):
    """A stretch of the recording in which a defect is heard; seconds."""

    defect: str = Field(alias="class")
    start: float = Field(ge=0)
    end: float = Field(ge=0)
    words: list[int] | None = None


class Word(BaseModel):
    """A word of the prompt where it is said; seconds."""

    text: str
    start: float
    end: float


class Sound(BaseModel):
    """A letter of the prompt where it is said, in seconds; `score`: the probability that it is said well."""

    letter: str = Field(min_length=1)
    word: int = Field(ge=0)
    start: float = Field(ge=0)
    end: float = Field(ge=0)
    score: float = Field(ge=0, le=1)


class Quality(BaseModel):
    """`level_dbfs`: mean level, 0 is full scale; `snr_db`: speech above noise."""

    level_dbfs: float
    snr_db: float | None = None


class Caution(BaseModel):
    """What is wrong with the recording, by a stable code; `message` is English."""

    code: str
    message: str = ""


class Tempo(BaseModel):
    """How fast was spoken; none where no syllable was heard."""

    syllables_per_second: float | None = None
    pause_share: float = 0.0


class Prediction(BaseModel):
    """An answer of `POST /api/predict`."""

    classes: list[str] = Field(min_length=1)
    predict_proba: list[float]
    verdicts: dict[str, Verdict]
    bundle: str = Field(max_length=200)
    duration: float = Field(gt=0)
    places: list[Place] = []
    words: list[Word] | None = None
    sounds: list[Sound] | None = None
    peaks: list[tuple[float, float]] = []
    quality: Quality | None = None
    warnings: list[Caution] = []
    tempo: Tempo | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.classes) != len(self.predict_proba):
            raise ValueError("predict_proba and classes differ in length")
        if not all(0 <= value <= 1 for value in self.predict_proba):
            raise ValueError("a probability is not from 0 to 1")
        return self

    @property
    def defects(self) -> dict[str, float]:
        """Each defect's calibrated probability."""
        pairs = zip(self.classes, self.predict_proba, strict=True)
        return {name: value for name, value in pairs if name != NONE}

    @property
    def scores(self) -> dict[str, float]:
        """Each scored letter's mean probability of being said well, in order of the letters."""
        said: dict[str, list[float]] = {}
        for sound in self.sounds or []:
            said.setdefault(sound.letter, []).append(sound.score)
        return {letter: sum(scores) / len(scores) for letter, scores in sorted(said.items())}


class DefectClass(BaseModel):
    """A class with its names for people, per language."""

    name: str
    names: dict[str, str] = {}


class Card(BaseModel):
    """An answer of `GET /api/model`."""

    bundle: str
    language: str
    letters: list[str]
    classes: list[DefectClass]

    @property
    def defects(self) -> list[DefectClass]:
        """The classes that are defects."""
        return [one for one in self.classes if one.name != NONE]

    def name_of(self, defect: str, language: str) -> str:
        """A class's name for people."""
        return next((one.names.get(language, one.name) for one in self.classes if one.name == defect), defect)


def read_prediction(answer: dict[str, Any]) -> Prediction:
    """Raises `OddAnswer` for what is no prediction."""
    try:
        return Prediction.model_validate(answer)
    except ValidationError as error:
        raise OddAnswer(f"a prediction that cannot be read: {error.errors(include_input=False)[0]}") from error


def read_card(answer: dict[str, Any]) -> Card:
    """Raises `OddAnswer` for what is no bundle's card."""
    try:
        return Card.model_validate(answer)
    except ValidationError as error:
        raise OddAnswer(f"a card that cannot be read: {error.errors(include_input=False)[0]}") from error

"""What the service answers, as it stands in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.schemas import examples
from speech.audio.quality import Code
from speech.defects.agreement import LEAST_CLIPS
from speech.defects.calibration import Verdict
from speech.encoders.precision import Precision

_PREDICTION: dict[str, JsonValue] = {
    "class": "burr",
    "predict_proba": [0.06, 0.88, 0.04, 0.02],
    "verdicts": {"burr": "yes", "fricative_g": "not_assessable", "stutter": "no"},
    "classes": ["none", "burr", "fricative_g", "stutter"],
    "exclusive": True,
    "logits": [-0.4, 2.3, -0.8, -1.5],
    "places": [
        {"class": "burr", "start": 0.42, "end": 0.52, "score": 0.61, "words": [0]},
        {"class": "burr", "start": 1.3, "end": 1.42, "score": 0.31, "words": [2]},
    ],
    "words": [
        {"text": "Карл", "start": 0.3, "end": 0.78},
        {"text": "у", "start": 0.84, "end": 0.9},
        {"text": "Клары", "start": 0.98, "end": 1.6},
    ],
    "words_from": "text",
    "sounds": [
        {"letter": "р", "word": 0, "start": 0.42, "end": 0.52, "score": 0.09, "defects": {"burr": 0.91}},
        {"letter": "р", "word": 2, "start": 1.3, "end": 1.42, "score": 0.22, "defects": {"burr": 0.78}},
    ],
    "markers": {"р": 3.1, "г": 0.2},
    "duration": 2.84,
    "quality": {
        "level_dbfs": -27.3,
        "peak_dbfs": -8.1,
        "clipped_share": 0.0,
        "silent_share": 0.12,
        "snr_db": 8.4,
    },
    "warnings": [
        {"code": "noisy", "message": "speech is only 8 dB above the noise; record in a quieter place"},
    ],
    "tempo": {"syllables": 11, "speech_seconds": 2.31, "syllables_per_second": 4.76, "pause_share": 0.0},
    "peaks": [[-0.012, 0.011], [-0.214, 0.251], [-0.394, 0.388], [-0.05, 0.047]],
    "unlike_training": {"score": 2.41, "threshold": 1.62, "unlike": True, "why": ["snr_db", "band_3194_hz"]},
    "bundle": "defects-20250301-101500-1a2b3c4d",
}


class Place(BaseModel):
    """A stretch of the recording in which a defect is heard."""

    class_: str = Field(serialization_alias="class", description="The defect")
    start: float = Field(description="Seconds from the beginning of the recording")
    end: float = Field(description="Seconds from the beginning of the recording")
    score: float = Field(description="Share of all that speaks for this defect in the recording, 0 to 1")
    words: list[int] | None = Field(
        None, description="Indices into `words` of those it falls on; null where there are no `words`"
    )


class TimedWord(BaseModel):
    """A word of the text that was sent, or that Whisper heard, where it is spoken."""

    text: str
    start: float = Field(description="Seconds from the beginning of the recording")
    end: float = Field(description="Seconds from the beginning of the recording")


class SpokenSound(BaseModel):
    """A marker letter of the text that was sent, where it is said, and how well."""

    letter: str
    word: int = Field(description="Index into `words` of the word it stands in")
    start: float = Field(description="Seconds from the beginning of the recording")
    end: float = Field(description="Seconds from the beginning of the recording")
    score: float = Field(description="Probability that it has none of the defects, 0 to 1; calibrated")
    defects: dict[str, float] = Field(description="Probability of each defect that this letter tells of, 0 to 1")


class Quality(BaseModel):
    """How the recording is as a signal. Levels are in dBFS (0 is full scale), shares are 0 to 1."""

    level_dbfs: float = Field(description="Mean level from 80 Hz on")
    peak_dbfs: float = Field(description="Level of the greatest sample")
    clipped_share: float = Field(description="Samples at full scale, where the wave was cut off")
    silent_share: float = Field(description="Stretches of 20 ms below -55 dBFS, from 80 Hz on")
    snr_db: float = Field(description="Speech above noise in dB, estimated; from -10 to 60")


class Caution(BaseModel):
    """Why the answer may be worth less."""

    code: Code = Field(description="Stable, for machines")
    message: str = Field(description="A sentence for people")


class Tempo(BaseModel):
    """How fast is spoken, counted in the sound itself; repeated syllables count each time."""

    syllables: int
    speech_seconds: float = Field(description="From the first sound of speech to the last, without pauses")
    syllables_per_second: float | None = Field(
        description="Of these seconds (articulation rate); null where no syllable is heard"
    )
    pause_share: float = Field(description="Share of pauses between the first sound of speech and the last, 0 to 1")


class UnlikeTraining(BaseModel):
    """How far the recording is from those that the model learned from: in its level, length, noise and colour, and in
    the features by which the model judges. Told is whichever is farther."""

    score: float = Field(description="Distance in deviations of the training clips")
    threshold: float = Field(description="What one in a hundred recordings of the training clips' kind exceeds")
    unlike: bool = Field(description="Whether the score is above the threshold: what was measured may not hold here")
    why: list[str] = Field(
        description="The figures furthest out, the furthest first: level_dbfs, seconds, snr_db, silent_share, "
        "high_band_db (above 4 kHz), band_N_hz (around N hertz), encoder_features (what the model makes of it); empty "
        "where it is not unlike"
    )


class Prediction(BaseModel):
    """What the model makes of one recording. Lists follow the order of `classes`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PREDICTION]})

    predict_proba: list[float] = Field(
        description="Calibrated probability per class, 0 to 1, adding up to 1 where classes are exclusive; else each "
        "defect's own, and for none that every defect is absent"
    )
    classes: list[str] = Field(description="Names of the classes")
    exclusive: bool = Field(
        description="Whether a recording has exactly one of the classes; false: it may have several defects at once"
    )
    class_: str = Field(
        serialization_alias="class",
        description="The most probable class; where classes are not exclusive, the most probable of the defects that "
        "are more probable than not, else none",
    )
    verdicts: dict[str, Verdict] = Field(
        description="A word per defect class, of which several may be yes where classes are not exclusive. yes, no; "
        "unsure: not probable enough to be named, nor to be ruled out; "
        "not_assessable: too few of the sounds were heard by which this defect is told. Where the recording is unlike "
        "the training clips, nothing is yes or no"
    )
    places: list[Place] = Field(
        description="Where each defect that is named or has verdict yes is heard, in order of time; a hint"
    )
    words: list[TimedWord] | None = Field(
        None,
        description="The words of `text`, where one was sent; with `words=true` those that Whisper heard, none "
        "where it heard no speech that it can be trusted in; null where neither was sent",
    )
    words_from: Literal["text", "whisper"] | None = Field(None, description="Where `words` come from")
    sounds: list[SpokenSound] | None = Field(
        None,
        description="How well each marker letter of `text` is said, in order of the text; null where no text was sent, "
        "or the bundle does not know how such sounds are said",
    )
    logits: list[float] = Field(
        description="The model's own figures per class, before calibration; that of none means nothing where classes "
        "are not exclusive"
    )
    bundle: str = Field(description="Id of the bundle that gave this answer")
    duration: float = Field(description="Seconds of sound")
    markers: dict[str, float] = Field(description="Marker letters the model heard: predicted count per letter")
    quality: Quality = Field(description="How the recording is as a signal")
    warnings: list[Caution] = Field(description="What is wrong with the recording; empty where nothing is")
    tempo: Tempo = Field(description="How fast is spoken")
    peaks: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        description="The waveform for drawing: least and greatest sample (full scale is 1) of each of so many "
        "stretches as `peaks` asks for"
    )
    unlike_training: UnlikeTraining | None = Field(
        description="Whether the recording is unlike those the model learned from; null for a bundle that does not know"
    )


class SpokenWord(BaseModel):
    """A word where it is spoken."""

    word: str
    start: float = Field(description="Seconds from the beginning of the recording")
    end: float = Field(description="Seconds from the beginning of the recording")
    confidence: float = Field(description="Geometric mean of its tokens' probabilities, 0 to 1")


class Transcript(BaseModel):
    """What is said in one recording."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.TRANSCRIPT]})

    text: str = Field(description="Empty where the model hears no word")
    words: list[SpokenWord] | None = Field(None, description="In order of time; null where they were not asked for")
    confidence: float = Field(description="Geometric mean of the tokens' probabilities, 0 to 1")
    duration: float = Field(description="Seconds of sound")
    language: str = Field(description="What the model understands")
    bundle: str = Field(description="Id of the bundle that gave this answer")
    warnings: list[Caution] = Field([], description="What is wrong with the recording; empty where nothing is")


class DefectClass(BaseModel):
    """One class that the model tells apart."""

    name: str = Field(description="As in `classes` of a prediction", examples=["burr"])
    names: dict[str, str] = Field(description="For people, per language", examples=[{"ru": "картавость", "en": "burr"}])


class GateCondition(BaseModel):
    """A condition that the bundle had to meet before it could serve."""

    name: str = Field(examples=["minimum_macro_f1"])
    passed: bool
    detail: str = Field(description="A sentence with the figures")


class Limits(BaseModel):
    """What a recording may be."""

    min_seconds: float
    max_seconds: float
    max_upload_bytes: int
    sample_rate: int = Field(description="Hertz; recordings of any rate are taken and resampled to this one")


class RefusedBundle(BaseModel):
    """The last bundle or pointer that this worker could not take; what was in service went on serving."""

    bundle: str | None = Field(description="Id of the bundle, or null where the pointer itself was no good")
    reason: str
    at: str = Field(description="UTC, ISO 8601")


class PrecisionChoice(BaseModel):
    """In which precision the encoder computes here, and why."""

    name: Precision
    seconds: dict[str, float] = Field(
        description="Seconds that one second of sound took in each precision, measured on this machine; empty where "
        "only fp32 may serve"
    )
    agreement: dict[str, dict[str, float]] = Field(
        description=f"How each precision answered the test clips beside fp32: how many `clips`, of which at least "
        f"{LEAST_CLIPS} are needed, the greatest `difference` of a probability, how many were `flipped` to another "
        "class, how many of these fp32 was sure of"
    )


class Card(BaseModel):
    """What every bundle in service has."""

    bundle: str = Field(description="Its id")
    recipe: str
    language: str
    created: str = Field(description="UTC, ISO 8601")
    published: str = Field(description="UTC, ISO 8601; empty where this bundle stands in for a broken one")
    previous: str | None = Field(description="Id of the bundle that served before")
    limits: Limits
    gate: list[GateCondition]
    gate_override: str | None = Field(description="Why it serves though conditions failed; null where none did")
    metrics: dict[str, Any] = Field(
        description="Figures on the test split: macro-F1, per class, calibration, champion; of a recogniser WER and CER"
    )
    lineage: dict[str, Any] = Field(description="What it was made from, and how")
    refused: RefusedBundle | None = Field(description="Set where the pointer names something that cannot serve")


class ModelCard(Card):
    """The bundle in service."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.MODEL_CARD]})

    classes: list[DefectClass] = Field(description="In the order of `predict_proba`")
    exclusive: bool = Field(
        description="Whether it gives a recording exactly one class; false: several defects at once"
    )
    letters: list[str] = Field(description="Marker letters that it counts")
    precision: PrecisionChoice


class RecogniserCard(Card):
    """The speech recogniser in service."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.RECOGNISER_CARD]})

    vocabulary_size: int = Field(description="Tokens that it spells with")
    frame_seconds: float = Field(description="How finely it tells when a word is spoken")


class RecipeHealth(BaseModel):
    """How a recipe is in this worker."""

    bundle: str | None = Field(description="Id of the bundle in service")
    refused: RefusedBundle | None


class Health(BaseModel):
    """How this worker is."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.HEALTH]})

    status: Literal["ok", "degraded", "no_model"] = Field(
        description="degraded: a newer bundle or pointer was refused; no_model: nothing is in service, of any recipe"
    )
    bundle: str | None = Field(description="Of the recipe defects")
    refused: RefusedBundle | None = Field(description="Of the recipe defects")
    recipes: dict[str, RecipeHealth] = Field(description="By recipe: defects and asr")


class ProblemDocument(BaseModel):
    """Why a request was not answered (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str = Field(description="Stable, for machines")
    detail: str = Field(description="A sentence for people")
    field: str | None = Field(None, description="The field of the request that is at fault, where it is one of several")
    request_id: str | None = Field(None, description="As in the header X-Request-ID; by it the log finds the request")

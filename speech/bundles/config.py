"""What a bundle's config.yaml says, by recipe: `BundleConfig` of the defects, `RecogniserConfig` of the recogniser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, overload

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from speech.bundles.files import FORMAT, READ, WEIGHTS, BundleError, verify_files
from speech.bundles.gate import AnyGate, Gate, WerGate
from speech.defects.agreement import Agreement
from speech.defects.calibration import Calibration
from speech.defects.multilabel import AnyCalibration, MultilabelCalibration, uncalibrated
from speech.defects.sounds import FEATURES
from speech.defects.spec import REFERENCE_CLASS, ModelSpec
from speech.encoders.precision import Precision


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Probability = Annotated[float, Field(ge=0, le=1)]


class AudioSection(_Section):
    """What sound the model takes. Seconds."""

    sample_rate: Literal[16000] = 16000
    min_seconds: float = Field(gt=0)
    max_seconds: float = Field(gt=0)


class ModelSection(_Section):
    """`speech.defects.model.ModelSpec`, written out."""

    encoder: dict[str, Any]
    classes: list[str] = Field(min_length=2)
    letters: list[str]
    marked: list[bool]
    width: int = Field(gt=0)
    normalise: bool
    two_heads: bool = True
    alphabet: str = ""
    exclusive: bool = True  # bundles of formats 1 to 3 know no other
    echo: bool = False
    members: int = Field(1, gt=0)
    window_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)  # bundles of before judge a clip as a whole

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.classes)) != len(self.classes) or len(set(self.letters)) != len(self.letters):
            raise ValueError("classes or letters are named twice")
        if len(self.marked) != len(self.classes):
            raise ValueError(f"marked has {len(self.marked)} values for {len(self.classes)} classes")
        if len(set(self.alphabet)) != len(self.alphabet):
            raise ValueError("alphabet names a letter twice")
        if self.alphabet and not set(self.letters) <= set(self.alphabet):
            raise ValueError("alphabet lacks marker letters")
        if not self.exclusive and REFERENCE_CLASS not in self.classes:
            raise ValueError(f"classes that are not exclusive lack {REFERENCE_CLASS}")
        return self


class SoundSection(_Section):
    """`speech.defects.sounds.SoundScale`, written out."""

    weights: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(min_length=FEATURES, max_length=FEATURES)
    bias: float = Field(allow_inf_nan=False)


class CalibrationSection(_Section):
    """`speech.defects.calibration.Calibration`, written out."""

    temperature: float = Field(gt=0, allow_inf_nan=False)
    bias: list[Annotated[float, Field(allow_inf_nan=False)]]
    unsure_below: float = Field(ge=0, le=1)
    fewest_letters: float = Field(ge=0, allow_inf_nan=False)
    letters: dict[str, list[str]]
    heard_from: dict[str, _Probability] = {}  # bundles of formats 1 to 4 do not say
    sounds: dict[str, SoundSection] = {}  # bundles of before score no sounds


class PlattSection(_Section):
    """`speech.defects.multilabel.Platt`, written out."""

    temperature: float = Field(gt=0, allow_inf_nan=False)
    bias: float = Field(allow_inf_nan=False)
    yes_from: float = Field(ge=0, le=1)
    no_from: float = Field(ge=0, le=1)


class MultilabelCalibrationSection(_Section):
    """`speech.defects.multilabel.MultilabelCalibration`, written out."""

    defects: dict[str, PlattSection]
    fewest_letters: float = Field(ge=0, allow_inf_nan=False)
    letters: dict[str, list[str]]
    heard_from: dict[str, _Probability] = {}  # bundles of formats 1 to 4 do not say
    sounds: dict[str, SoundSection] = {}  # bundles of before score no sounds


class AgreementSection(_Section):
    """`speech.defects.agreement.Agreement`, written out."""

    clips: int = Field(ge=0)
    difference: float = Field(ge=0, allow_inf_nan=False)
    flipped: int = Field(ge=0)
    flipped_sure: int = Field(ge=0)


class RecogniserSection(_Section):
    """A recogniser's model: its Hugging Face configuration, how many outputs it has, which is CTC's blank, and all
    words that may be said; none where anything may."""

    architecture: dict[str, Any]
    vocabulary: int = Field(gt=1)
    blank: int = Field(ge=0)
    words: list[str] = []

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.blank >= self.vocabulary:
            raise ValueError(f"blank is {self.blank}, and there are {self.vocabulary} outputs")
        return self


class CommonConfig(_Section):
    """What config.yaml says whatever the recipe."""

    gate_class: ClassVar[type[AnyGate]]

    format: int
    recipe: str
    id: str
    created: str
    language: str
    audio: AudioSection
    # How precisions other than fp32 answer beside it; one that is not here, as in formats 1 to 4, may not serve.
    precisions: dict[Precision, AgreementSection] = {}
    gate: dict[str, Any]
    lineage: dict[str, Any]

    def agreement(self, precision: Precision) -> Agreement | None:
        """How a precision answers beside fp32; None where nobody has measured it."""
        section = self.precisions.get(precision)
        return Agreement(**section.model_dump()) if section else None


class RecogniserConfig(CommonConfig):
    """config.yaml of a recogniser. Its tokenizer and feature extractor stand in files of their own."""

    gate_class = WerGate

    recipe: Literal["asr"]
    model: RecogniserSection


class BundleConfig(CommonConfig):
    """config.yaml of a model that hears defects."""

    gate_class = Gate

    recipe: Literal["defects"]
    class_names: dict[str, dict[str, str]]
    model: ModelSection
    calibration: CalibrationSection | None = None  # None in bundles of format 1, and where classes are not exclusive
    multilabel_calibration: MultilabelCalibrationSection | None = None  # where they are not

    @field_validator("calibration")
    @classmethod
    def _calibrates_this_model(
        cls, calibration: CalibrationSection | None, others: ValidationInfo
    ) -> CalibrationSection | None:
        model: ModelSection | None = others.data.get("model")
        if calibration is None or model is None:
            return calibration
        if not model.exclusive:
            raise ValueError("is for exclusive classes, which the model's are not")
        if len(calibration.bias) not in (0, len(model.classes)):
            raise ValueError(f"bias has {len(calibration.bias)} values for {len(model.classes)} classes")
        _check_letters(calibration.letters, model)
        _check_sounds(calibration.sounds, calibration.letters)
        return calibration

    @field_validator("multilabel_calibration")
    @classmethod
    def _calibrates_these_defects(
        cls, calibration: MultilabelCalibrationSection | None, others: ValidationInfo
    ) -> MultilabelCalibrationSection | None:
        model: ModelSection | None = others.data.get("model")
        if calibration is None or model is None:
            return calibration
        if model.exclusive:
            raise ValueError("is for classes that are not exclusive, which the model's are")
        odd = set(calibration.defects) ^ (set(model.classes) - {REFERENCE_CLASS})
        if odd:
            raise ValueError(f"defects: the model's and these differ in {', '.join(sorted(odd))}")
        _check_letters(calibration.letters, model)
        _check_sounds(calibration.sounds, calibration.letters)
        return calibration

    def spec(self) -> ModelSpec:
        return ModelSpec.from_dict(self.model.model_dump())

    def how_calibrated(self) -> AnyCalibration:
        """How `speech.defects.diagnose` is to turn this model's logits into probabilities and verdicts."""
        if self.multilabel_calibration:
            return MultilabelCalibration.from_dict(self.multilabel_calibration.model_dump(), self.model.classes)
        return Calibration.from_dict(self.calibration.model_dump()) if self.calibration else uncalibrated(self.spec())


def _check_letters(by_class: dict[str, list[str]], model: ModelSection) -> None:
    for name, letters in by_class.items():
        if name not in model.classes or not set(letters) <= set(model.letters):
            raise ValueError(f"letters: {name} with {', '.join(letters) or 'none'} is not the model's")


def _check_sounds(scales: dict[str, SoundSection], by_class: dict[str, list[str]]) -> None:
    if strange := [name for name in scales if not by_class.get(name)]:
        raise ValueError(f"sounds: {', '.join(strange)} is told by no letters")


AnyConfig = BundleConfig | RecogniserConfig
_BY_RECIPE: dict[object, type[AnyConfig]] = {"defects": BundleConfig, "asr": RecogniserConfig}


def read_config(folder: Path) -> AnyConfig:
    """config.yaml of a bundle, checked; its class tells the recipe. Raises `BundleError` naming the field."""
    try:
        value = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        recipe = value.get("recipe") if isinstance(value, dict) else None
        kind = _BY_RECIPE.get(recipe if isinstance(recipe, str) else None, BundleConfig)
        config = kind.model_validate(value)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BundleError(f"{folder.name}/config.yaml cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise BundleError(f"{folder.name}/config.yaml, field {field}: {first['msg']}", "config") from error
    if config.format not in READ:
        raise BundleError(
            f"{folder.name} has bundle format {config.format}; this version of Vnyatno reads up to {FORMAT}", "format"
        )
    return config


def read_defects_config(folder: Path) -> BundleConfig:
    """`read_config` of a bundle that hears defects. Raises `BundleError` for one of another recipe, too."""
    config = read_config(folder)
    if not isinstance(config, BundleConfig):
        raise other_recipe(config, "defects")
    return config


def other_recipe(config: AnyConfig, wanted: str) -> BundleError:
    """The error of a bundle that is of another recipe than is wanted."""
    return BundleError(f"{config.id} is of the recipe {config.recipe}, not {wanted}", "config")


@overload
def read_gate(config: BundleConfig) -> Gate: ...
@overload
def read_gate(config: RecogniserConfig) -> WerGate: ...
def read_gate(config: AnyConfig) -> AnyGate:
    """The gate that the bundle's run was configured with. Raises `BundleError`."""
    adapter: TypeAdapter[AnyGate] = TypeAdapter(config.gate_class)
    try:
        return adapter.validate_json(json.dumps(config.gate))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BundleError(f"{config.id}/config.yaml, field gate: {wrong}") from error


def open_bundle(folder: Path) -> tuple[dict[str, dict[str, Any]], AnyConfig]:
    """The manifest's entries and the config of a bundle that is to be loaded, all but its weights verified; these are
    checked while they are loaded. Raises `BundleError`."""
    entries = verify_files(folder, but=(WEIGHTS,))
    config = read_config(folder)
    if config.id != folder.name:
        raise BundleError(f"{folder.name}/config.yaml, field id: names another bundle, {config.id!r}", "config")
    return entries, config

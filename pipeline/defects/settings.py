"""The settings of the stages that only the recipe `defects` has."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from pipeline.archive.settings import ArchiveSettings
from pipeline.bundling.settings import BundleSettings
from pipeline.clips.settings import ClipSettings
from pipeline.evaluation.settings import ComputingSettings, JudgingSettings, ScoreSettings
from pipeline.settings import Device, Settings
from pipeline.training.settings import CroppedTrainingSettings
from speech.bundles.gate import MOST_RISK, Gate
from speech.whisper.backend import WhisperOptions
from speech.whisper.markers import ConfidenceLimits


class TranscriptSource(StrEnum):
    """Where transcripts come from."""

    whisper = "whisper"
    text_column = "text_column"


class WhisperBackend(StrEnum):
    """Which library runs Whisper."""

    faster_whisper = "faster_whisper"
    openai_whisper = "openai_whisper"


class ComputeType(StrEnum):
    """Arithmetic of Whisper; auto is int8 (faster_whisper) or fp32 (openai_whisper) on a CPU, float16 on CUDA."""

    auto = "auto"
    int8 = "int8"
    float16 = "float16"
    float32 = "float32"


class CountUnit(StrEnum):
    """What marker letters are counted over while pretraining."""

    word = "word"
    clip = "clip"


class Pretext(StrEnum):
    """What the encoder learns from transcripts."""

    none = "none"
    counts = "counts"
    letters = "letters"
    both = "both"


class ClassWeighting(StrEnum):
    """How the loss treats classes of unlike size."""

    balanced = "balanced"
    none = "none"


class TranscriptSettings(Settings):
    """How speech becomes words. Transcripts label marker letters for training; serving needs none."""

    not_in_key = frozenset({"device", "threads"})

    source: TranscriptSource = Field(
        TranscriptSource.whisper, description="whisper, or text_column: take the table's text column as it is."
    )
    backend: WhisperBackend = Field(WhisperBackend.faster_whisper, description="Library that runs Whisper.")
    model: str = Field("base", description="Whisper model: a name (base, small, large-v3, …) or a path to weights.")
    device: Device = Field(Device.auto, description="Where Whisper computes.")
    compute_type: ComputeType = Field(ComputeType.auto, description="Whisper's arithmetic.")
    beam_size: int = Field(1, ge=1, le=20, description="Beams of the search; 1 is fastest.")
    threads: int = Field(0, ge=0, description="CPU threads; 0 means all cores.")
    initial_prompt: str | None = Field(None, description="Text that sets the style, for instance rare names.")

    @property
    def library(self) -> str:
        """The library's name as `speech.whisper` has it."""
        return self.backend.value.replace("_", "-")

    def whisper(self, language: str) -> WhisperOptions:
        """How Whisper transcribes clips of a language."""
        return WhisperOptions(
            backend=self.library,
            model=self.model,
            language=language,
            device=self.device.value,
            compute_type=self.compute_type.value,
            beam_size=self.beam_size,
            threads=self.threads,
            initial_prompt=self.initial_prompt,
        )


class MarkerSettings(Settings):
    """Which words are trusted enough to count letters in."""

    min_word_probability: float = Field(0.5, ge=0, le=1, description="Least probability of a word, 0 to 1.")
    max_no_speech: float = Field(0.6, ge=0, le=1, description="Greatest probability that a clip holds no speech.")
    max_compression: float = Field(2.4, gt=0, description="Greatest compression ratio; more means a loop in the text.")

    @property
    def trusted(self) -> ConfidenceLimits:
        """Which words are trusted, as `speech.whisper.markers` takes it."""
        return ConfidenceLimits(
            min_word_probability=self.min_word_probability,
            max_no_speech=self.max_no_speech,
            max_compression=self.max_compression,
        )


class EncoderSettings(CroppedTrainingSettings):
    """Which encoder, and how it is pretrained to predict marker letters."""

    # The bundle that init_from names is an input of the stage, by its id.
    not_in_key = CroppedTrainingSettings.not_in_key | {"init_from"}

    name: str | None = Field(
        None, description="A Hugging Face speech encoder: a name (facebook/wav2vec2-xls-r-300m) or a path."
    )
    architecture: dict[str, Any] | None = Field(
        None, description="A new encoder instead: a Hugging Face configuration with its model_type."
    )
    init_from: str | None = Field(
        None,
        description="Go on from the encoder of a bundle instead: 'service' (the one in service) or a bundle's id.",
    )
    freeze_features: bool | None = Field(
        None, description="Keep the convolutional front end as it is. Default: yes, but for a new encoder."
    )
    pretext: Pretext = Field(
        Pretext.counts,
        description="counts: predict how many marker letters there are; letters: spell what was said (CTC over the "
        "alphabet), which finds letters more sharply; both; none: take the encoder as it is.",
    )
    label_prior: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Spelling: how far to level out frequent letters and silence; widens letters. It holds for the "
        "heads' training too.",
    )
    unit: CountUnit = Field(
        CountUnit.word,
        description="Learn from single sure words too, or from whole clips alone; in the heads' training too.",
    )

    @model_validator(mode="after")
    def _check(self) -> EncoderSettings:
        if sum(value is not None for value in (self.name, self.architecture, self.init_from)) != 1:
            raise ValueError("name, architecture, init_from: give exactly one")
        if self.architecture is not None and "model_type" not in self.architecture:
            raise ValueError("architecture.model_type: is missing (wav2vec2, hubert, wavlm, …)")
        return self


class HeadSettings(CroppedTrainingSettings):
    """How the defect heads are trained, and the encoder with them."""

    frozen_epochs: float = Field(0.0, ge=0, description="First epochs in which only the heads learn.")
    freeze_features: bool = Field(True, description="Keep the convolutional front end as it is.")
    two_heads: bool = Field(
        True, description="A head for the moments where marker letters sound and one for the rest, or one for all."
    )
    echo: bool = Field(
        True,
        description="Let the head for the rest see how like each moment is to those before it.",
    )
    members: int = Field(
        3, ge=1, le=32, description="Pairs of heads, each trained by itself; their logits are averaged."
    )
    width: int = Field(128, ge=4, le=4096, description="Size of the heads' inner features.")
    copies: int = Field(
        8,
        ge=1,
        le=64,
        description="Changed copies of each clip that an encoder which never learns (frozen_epochs as many as epochs, "
        "marker_weight 0) hears, once for all epochs.",
    )
    heard_gb: float = Field(
        16.0,
        ge=0,
        description="Most disk space for that, in 10^9 bytes, freed at the end. Where the clips take more, every epoch "
        "hears them anew, which takes longer; so it is always with 0.",
    )
    class_weighting: ClassWeighting = Field(
        ClassWeighting.balanced, description="balanced: rare classes weigh more in the loss."
    )
    refit: bool = Field(
        True,
        description="Train once more from the start with the validation speakers among the others: voices are what "
        "archives have few of; calibration stays with the model that has not heard them. This second training takes "
        "all epochs, since it has nobody left to stop it by (patience).",
    )
    imitated_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the clips without a defect that become, each time anew, an imitation of a class that the "
        "language says how to imitate (stutter: sounds repeated, held, blocked). They count where classes are "
        "balanced. 0: none.",
    )
    joined_share: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Share of the clips after which, each time anew, more of the same speaker and class follows, or a "
        "part of it, so that nothing is learned from how long somebody speaks. Needs speakers. 0: none.",
    )
    paused_share: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Share of the clips that, each time anew, get longer pauses or lose them (only longer ones where "
        "no letters tell the class: a block is a pause), so that pauses tell nothing. 0: none.",
    )
    marker_weight: float = Field(
        0.3,
        ge=0,
        le=100,
        description="Weight of the marker count loss beside the defect loss; keeps letters heard where they are.",
    )


class CalibrationSettings(ComputingSettings):
    """How probabilities and places are calibrated, on the validation speakers."""

    max_accepted_error: float = Field(
        0.1, gt=0, lt=1, description="Share of wrong answers to allow, 0 to 1; 'unsure' is said to keep below it."
    )
    fewest_letters: float = Field(
        0.5, ge=0, description="A defect told by letters is not assessable where fewer are counted; 0: always judged."
    )


class DefectBundleSettings(BundleSettings):
    """The bundle, and the gate that it must pass."""

    min_macro_f1: float = Field(0.5, ge=0, le=1, description="Gate: least macro-F1 on the test split, 0 to 1.")
    max_regression: float = Field(
        0.01, ge=0, le=1, description="Gate: how far below the bundle in service macro-F1 may fall, 0 to 1."
    )
    max_regression_risk: float = Field(
        MOST_RISK,
        ge=0,
        le=1,
        description="Gate: greatest probability, by a paired bootstrap over test speakers, of falling further than "
        "max_regression. 0.05 to 0.1: only what is shown to be no worse passes, for which few test speakers may not "
        "be enough; 0.5: as likely as not.",
    )
    allow_zero_class: bool = Field(False, description="Gate: let a class pass that is never recognised.")
    min_class_f1: dict[str, float] = Field(
        {}, description="Gate: least F1 of single classes, 0 to 1, such as {stutter: 0.7}."
    )

    @property
    def gate(self) -> Gate:
        """The gate's conditions."""
        return Gate(
            min_macro_f1=self.min_macro_f1,
            max_regression=self.max_regression,
            max_regression_risk=self.max_regression_risk,
            allow_zero_class=self.allow_zero_class,
            min_class_f1=self.min_class_f1,
            override=self.override_gate,
        )


STAGES: dict[str, type[Settings]] = {
    "archive": ArchiveSettings,
    "clips": ClipSettings,
    "transcripts": TranscriptSettings,
    "markers": MarkerSettings,
    "encoder": EncoderSettings,
    "heads": HeadSettings,
    "calibration": CalibrationSettings,
    "evaluation": JudgingSettings,
    "bundle": DefectBundleSettings,
    "scores": ScoreSettings,
}

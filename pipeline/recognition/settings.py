"""The settings of the stages of the recipe `asr`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field, model_validator

from pipeline.archive.settings import ArchiveSettings
from pipeline.bundling.settings import BundleSettings
from pipeline.clips.settings import CorpusSettings
from pipeline.evaluation.settings import JudgingSettings, ScoreSettings
from pipeline.settings import Settings
from pipeline.training.settings import TrainingSettings
from speech.bundles.gate import MOST_RISK, WerGate

SEED_DATASET = {"name": "ekacare/eka-medical-asr-evaluation-dataset", "configuration": "en", "split": "test"}
"""What the recipe was first made for; its 30 % are halved between choosing and judging."""


class DatasetSettings(Settings):
    """A dataset of the Hugging Face hub, or a local folder in one of its layouts (audiofolder, parquet, webdataset), in
    Common Voice's or in NeMo's. Recordings are bytes, samples with their rate, or names of the dataset's files."""

    not_in_key = frozenset({"name", "revision", "streaming"})  # what they give stands in the key by its content

    name: str = Field(
        min_length=1,
        description="Name on the hub (owner/name), a link to it, or the path of a local folder. A gated one needs "
        "HF_TOKEN in the pipeline's environment. Code that comes with a dataset is never run.",
    )
    configuration: str | None = Field(None, description="Its configuration (subset); none for the default one.")
    split: str = Field("train", min_length=1, description="The split that is taken, whatever it is called there.")
    revision: str | None = Field(None, description="Branch, tag or commit; none for the newest.")
    audio_column: str = Field(
        "audio",
        description="The column with the recordings; where it is not set and missing, another usual name is found.",
    )
    text_column: str = Field("text", description="The column with what is said in them; the same.")
    speaker_column: str | None = Field(
        None, description="The column with the speaker; none for speaker, speaker_id or client_id where there is one."
    )
    streaming: bool = Field(
        False, description="Read the hub's files as they come, without keeping them; not resumed when it breaks off."
    )


class AsrArchiveSettings(ArchiveSettings):
    """Archives in the project's layout with a text column, or a dataset; the defects' settings of archives hold too."""

    _sources_needed: ClassVar[bool] = False

    sources: list[str] = Field(
        default_factory=list,
        description="Zipped archives whose table has a text column: Drive share links, http(s) addresses or paths.",
    )
    dataset: DatasetSettings | None = Field(
        None, description="A Hugging Face dataset instead of sources. Neither: the medical one in English."
    )

    @model_validator(mode="before")
    @classmethod
    def _default_dataset(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("sources") and given.get("dataset") is None:
            return given | {"dataset": SEED_DATASET}
        return given

    @model_validator(mode="after")
    def _one_origin(self) -> AsrArchiveSettings:
        if self.dataset is not None and self.sources:
            raise ValueError("dataset, sources: give one of them")
        return self


class AsrClipSettings(CorpusSettings):
    """The corpus of recordings with texts: 70 % to learn from, 15 % to choose the weights, 15 % to judge."""

    content_without_speakers: ClassVar[bool] = True

    language: str = Field("en", description="Language of the texts: a file configs/languages/<language>.yaml.")
    min_seconds: float = Field(0.6, ge=0.1, description="Shortest clip, seconds.")
    test_share: float = Field(0.15, gt=0, lt=0.5, description="Share of the clips for judging, 0 to 0.5.")
    min_clips_per_split: int = Field(3, ge=1, description="Fewest clips in each split.")
    seed: int = Field(42, description="Seed of the split of speakers seen for the first time.")

    @property
    def fewest_clips(self) -> int:
        return self.min_clips_per_split


SEED_MODEL = "google/medasr"


class Checkpoint(StrEnum):
    """Which weights a training leaves."""

    best = "best"
    last = "last"


class RecogniserSettings(TrainingSettings):
    """Which recogniser, and how it is fine-tuned. The defaults are those that MedASR was fine-tuned with."""

    name: str | None = Field(
        None,
        description="A recogniser to go on from, any AutoModelForCTC: a Hugging Face name or a path. "
        f"Neither this nor start_from: {SEED_MODEL}. A gated one needs HF_TOKEN in the pipeline's environment.",
    )
    start_from: str | None = Field(
        None,
        description="Or a wav2vec 2.0 encoder, a path (encoders/small ships with the code), with a new head that "
        "writes the letters of the training texts.",
    )
    closed_vocabulary: bool = Field(
        False,
        description="Whether nothing but the words of the training texts is ever said (commands, numbers): the "
        "recogniser then writes these words alone, and makes far fewer errors.",
    )
    learning_rate: float = Field(3e-5, gt=0, lt=1, description="Peak learning rate of the encoder.")
    head_learning_rate: float = Field(3e-5, gt=0, lt=1, description="Peak learning rate of what is not the encoder.")
    accumulation: int = Field(4, ge=1, description="Steps whose gradients are added before weights move.")
    warmup_steps: int | None = Field(
        300, ge=0, description="Steps over which the rate rises, at most half of all; none: warmup_share of them."
    )
    checkpoint: Checkpoint = Field(
        Checkpoint.best,
        description="best: the weights with the lowest word error rate on the validation split. last: the last ones, "
        "of a training that hears the validation split's clips too: where speakers are few, each counts.",
    )
    freeze_features: bool | None = Field(
        None, description="Keep the convolutional front end as it is. Default: yes for name, no for start_from."
    )
    augment: bool = Field(
        False,
        description="Train on changed copies of the clips: other voices, noise, rooms, telephone lines, mp3.",
    )
    masked: float | None = Field(
        None,
        ge=0,
        le=0.65,
        description="Share of a clip's frames that training hides from the encoder, a sixth of a second at a time "
        "(SpecAugment). Default: as the model's own configuration says.",
    )
    generated: float = Field(
        0.0,
        ge=0,
        le=4,
        description="Clips that a synthesiser (espeak-ng) says for each recorded one, of the words of the training "
        "texts, in other voices and accents: worth most where few people speak. 0: none.",
    )
    seed: int = Field(42, description="Seed of weights, order and augmentation.")

    @model_validator(mode="after")
    def _check(self) -> RecogniserSettings:
        if self.name is not None and self.start_from is not None:
            raise ValueError("name, start_from: give one of them")
        return self

    @property
    def base(self) -> str:
        """What the training starts from."""
        return self.name or self.start_from or SEED_MODEL

    @property
    def keeps_features(self) -> bool:
        """Whether the convolutional front end stays as it is."""
        return self.start_from is None if self.freeze_features is None else self.freeze_features

    def warmup(self, steps: int) -> int:
        return super().warmup(steps) if self.warmup_steps is None else min(self.warmup_steps, steps // 2)


class AsrBundleSettings(BundleSettings):
    """The recogniser's bundle, and the gate that it must pass."""

    max_wer: float = Field(
        0.2, ge=0, description="Gate: greatest word error rate on the test split; 0.2 is one word in five."
    )
    max_regression: float = Field(
        0.01, ge=0, description="Gate: how far above that of the bundle in service the word error rate may rise."
    )
    max_regression_risk: float = Field(
        MOST_RISK,
        ge=0,
        le=1,
        description="Gate: greatest probability, by a paired bootstrap over test speakers (clips where they are "
        "unknown), of rising further than max_regression. 0.05 to 0.1: only what is shown to be no worse passes, for "
        "which few test speakers may not be enough; 0.5: as likely as not.",
    )

    @property
    def gate(self) -> WerGate:
        """The gate's conditions."""
        return WerGate(
            max_wer=self.max_wer,
            max_regression=self.max_regression,
            max_regression_risk=self.max_regression_risk,
            override=self.override_gate,
        )


STAGES: dict[str, type[Settings]] = {
    "asr_archive": AsrArchiveSettings,
    "asr_clips": AsrClipSettings,
    "recogniser": RecogniserSettings,
    "asr_evaluation": JudgingSettings,
    "asr_bundle": AsrBundleSettings,
    "asr_scores": ScoreSettings,
}

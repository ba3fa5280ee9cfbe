"""The settings of every stage: what each means, its unit, its default and its bounds.

Plain pydantic, so that notebooks and commands use them without Dagster; `pipeline.launchpad` shows them in the UI.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from speech.defects.spec import REFERENCE_CLASS

_GIB = 1 << 30

NO_SOURCE = "put the link or the path of your archive here"
"""What a ready configuration holds in the place of a source; it is none."""


class Settings(BaseModel):
    """Base of all settings: unknown fields are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    manner: ClassVar[frozenset[str]] = frozenset()
    """Fields that say how a stage works, not what it makes; they are no part of its output's key."""

    def identity(self) -> dict[str, Any]:
        """The settings that decide the output, as JSON-able data."""
        return self.model_dump(mode="json", exclude=set(self.manner))


class Precision(StrEnum):
    """Arithmetic of training. The names are what a run configuration holds."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Recipe(StrEnum):
    """What can be trained and served: `speech.home.RECIPES`."""

    defects = "defects"
    asr = "asr"


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


class ArchiveSettings(Settings):
    """Where the data come from, and what an archive may be."""

    _sources_needed: ClassVar[bool] = True

    manner = frozenset(
        {"sources", "allowed_roots", "allow_private_network", "refresh", "timeout_seconds", "retries"}
        | {"max_download_gib", "max_unpacked_gib", "max_files"}
    )

    sources: list[str] = Field(
        description="Zipped archives: Google Drive share links, http(s) addresses or paths. All are used together."
    )
    namespaces: list[str] = Field(
        default_factory=list,
        description="A name per source, in order, that keeps its speakers apart from other archives' and their splits "
        "fixed when a later version of the archive comes. Empty: the file's name (Drive: the file's id).",
    )
    allowed_roots: list[str] = Field(
        default_factory=list,
        description="Folders below which local archives may lie, beside those in VNYATNO_ARCHIVE_ROOTS "
        "(by default samples/ and VNYATNO_HOME/archives).",
    )
    allow_private_network: bool = Field(False, description="Whether http(s) sources in the private network are taken.")
    refresh: bool = Field(False, description="Ask a remote source again even where its archive was downloaded before.")
    timeout_seconds: float = Field(60.0, gt=0, description="Seconds without an answer after which a try is given up.")
    retries: int = Field(4, ge=0, le=100, description="Tries after the first one that fails; downloads resume.")
    max_download_gib: float = Field(50.0, gt=0, description="Largest download, GiB.")
    max_unpacked_gib: float = Field(200.0, gt=0, description="Largest unpacked archive, GiB.")
    max_files: int = Field(1_000_000, gt=0, description="Most files in an archive.")

    @model_validator(mode="after")
    def _check(self) -> ArchiveSettings:
        named = all(source.strip() and source != NO_SOURCE for source in self.sources)
        if (self._sources_needed and not self.sources) or not named:
            raise ValueError("sources: name at least one archive (a Drive link, an address or a path)")
        # Without sources there is one origin that is no archive.
        if self.namespaces and len(self.namespaces) != (len(self.sources) or 1):
            raise ValueError("namespaces: give one per source, or none")
        return self

    @property
    def max_download_bytes(self) -> int:
        return int(self.max_download_gib * _GIB)

    @property
    def max_unpacked_bytes(self) -> int:
        return int(self.max_unpacked_gib * _GIB)


class CorpusSettings(Settings):
    """How the table and the audio are read, checked and split, whatever is learnt from them."""

    language: str = Field("ru", description="Language of the speech: a file configs/languages/<language>.yaml.")
    column_aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="More names of the table's columns, by role: file, label, speaker, text, split, group.",
    )
    min_seconds: float = Field(0.3, ge=0.1, description="Shortest clip, seconds.")
    max_seconds: float = Field(30.0, gt=0, le=600, description="Longest clip, seconds.")
    silence_dbfs: float = Field(-55.0, ge=-100, le=-20, description="A clip below this level is silent, dBFS.")
    max_bad_share: float = Field(0.1, ge=0, le=1, description="Share of rows and files that may be bad, 0 to 1.")
    validation_share: float = Field(0.15, gt=0, lt=0.5, description="Share of the clips for choosing, 0 to 0.5.")
    test_share: float = Field(0.2, gt=0, lt=0.5, description="Share of the clips for judging, 0 to 0.5.")
    use_split_column: bool = Field(True, description="Take splits from the table's split column where it has one.")
    seed: int = Field(20, description="Seed of the split of speakers seen for the first time.")
    decoder_timeout_seconds: float = Field(60.0, gt=0, description="Seconds that decoding one file may take.")

    @model_validator(mode="after")
    def _check_seconds(self) -> CorpusSettings:
        if self.min_seconds >= self.max_seconds:
            raise ValueError("min_seconds: must be less than max_seconds")
        return self


class ClipSettings(CorpusSettings):
    """The corpus of clips with defects."""

    classes: list[str] = Field(
        default_factory=lambda: ["none", "burr", "fricative_g", "stutter"],
        description="Classes to tell apart, by their names in the language's file, in the order of the answer.",
    )
    exclusive: bool = Field(
        True,
        description="Whether a clip has exactly one of the classes (softmax). false: it may have several defects at "
        "once (a sigmoid each), its label cell naming them between ; , + / or |.",
    )
    label_aliases: dict[str, list[str]] = Field(
        default_factory=dict, description="More names of the labels, by class; for instance {burr: [картавит]}."
    )
    min_clips_per_class: int = Field(3, ge=1, description="Fewest clips of each class in each split.")
    min_speakers_per_class: int = Field(1, ge=0, description="Fewest speakers of each class in each split.")

    @model_validator(mode="after")
    def _check(self) -> ClipSettings:
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError("classes: at least two, each once")
        if not self.exclusive and REFERENCE_CLASS not in self.classes:
            raise ValueError(f"classes: must hold {REFERENCE_CLASS}, speech without a defect, where exclusive is false")
        return self


class TranscriptSettings(Settings):
    """How speech becomes words. Transcripts label marker letters for training; serving needs none."""

    manner = frozenset({"device", "threads"})

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


class MarkerSettings(Settings):
    """Which words are trusted enough to count letters in."""

    min_word_probability: float = Field(0.5, ge=0, le=1, description="Least probability of a word, 0 to 1.")
    max_no_speech: float = Field(0.6, ge=0, le=1, description="Greatest probability that a clip holds no speech.")
    max_compression: float = Field(2.4, gt=0, description="Greatest compression ratio; more means a loop in the text.")


class TrainingSettings(Settings):
    """What all trainings have in common."""

    manner = frozenset({"device", "devices", "gradient_checkpointing"})

    epochs: float = Field(10.0, gt=0, le=10_000, description="Passes over the training clips.")
    batch_size: int = Field(8, ge=1, le=4096, description="Clips per step, of all devices together.")
    accumulation: int = Field(1, ge=1, description="Steps whose gradients are added before weights move.")
    learning_rate: float = Field(1e-4, gt=0, lt=1, description="Peak learning rate of the encoder.")
    head_learning_rate: float = Field(1e-3, gt=0, lt=1, description="Peak learning rate of the heads.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps over which the rate rises.")
    weight_decay: float = Field(0.01, ge=0, lt=1, description="AdamW's weight decay.")
    patience: int = Field(5, ge=1, description="Evaluations without a gain after which training stops.")
    augment: bool = Field(
        True, description="Train on changed copies of the clips: noise, rooms, telephone lines, mp3, lost moments."
    )
    precision: Precision = Field(
        Precision.auto,
        description="Arithmetic; auto is bf16 where the hardware multiplies matrices in it, else fp16 with loss "
        "scaling on a GPU and fp32 on a CPU.",
    )
    device: Device = Field(Device.auto, description="Where to train.")
    devices: int = Field(
        1,
        ge=1,
        le=64,
        description="GPUs to train on, a process each that computes its share of every batch; results are those of one "
        "but for rounding. With device cpu: processes.",
    )
    gradient_checkpointing: bool | None = Field(
        None,
        description="Compute the encoder's layers twice instead of keeping what they computed: a third slower, in a "
        "fraction of the memory. Default: where the estimate exceeds the GPU's memory.",
    )
    validations_per_epoch: int = Field(
        1, ge=1, description="Validations per epoch, each with a checkpoint from which a killed run goes on."
    )
    seed: int = Field(20, description="Seed of weights, order and augmentation.")

    def warmup(self, steps: int) -> int:
        """How many of all `steps` the learning rate rises over."""
        return int(steps * self.warmup_share)


class CroppedTrainingSettings(TrainingSettings):
    """A training that may take parts of clips."""

    max_crop_seconds: float = Field(15.0, gt=0, description="Longer clips are cut at random to this while training.")


class EncoderSettings(CroppedTrainingSettings):
    """Which encoder, and how it is pretrained to predict marker letters."""

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
        0.0, ge=0, le=1, description="Spelling: how far to level out frequent letters and silence; widens letters."
    )
    unit: CountUnit = Field(CountUnit.word, description="Learn from single sure words too, or from whole clips alone.")

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
        description="Most disk space for that, in 10^9 bytes, freed at the end; where it is not enough every epoch "
        "hears the clips anew, which takes longer. 0: always anew.",
    )
    class_weighting: ClassWeighting = Field(
        ClassWeighting.balanced, description="balanced: rare classes weigh more in the loss."
    )
    refit: bool = Field(
        True,
        description="Train once more from the start with the validation speakers among the others: voices are what "
        "archives have few of; calibration stays with the model that has not heard them.",
    )
    imitated_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the clips without a defect that become, each time anew, an imitation of a class that the "
        "language says how to imitate (stutter: sounds repeated, held, blocked). 0: none.",
    )
    marker_weight: float = Field(
        0.3, ge=0, le=100, description="Weight of the marker count loss beside the defect loss; keeps the gate true."
    )


_JUDGED_IN = "Arithmetic on a GPU: auto is bf16 where it has it, else fp16. On a CPU it is fp32, as in services."


class JudgingSettings(Settings):
    """What the judgements of both recipes have in common."""

    manner = frozenset({"device", "batch_size", "precision"})

    batch_size: int = Field(8, ge=1, description="Clips judged at once.")
    device: Device = Field(Device.auto, description="Where to compute.")
    precision: Precision = Field(Precision.auto, description=_JUDGED_IN)
    compare_champion: bool = Field(True, description="Judge the bundle in service on the same clips.")


class EvaluationSettings(JudgingSettings):
    """How the model is judged on test speakers, and the gate."""

    min_macro_f1: float = Field(0.5, ge=0, le=1, description="Gate: least macro-F1 on the test split, 0 to 1.")
    max_regression: float = Field(
        0.01, ge=0, le=1, description="Gate: how far below the bundle in service macro-F1 may fall, 0 to 1."
    )
    max_regression_risk: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Gate: greatest probability, by a paired bootstrap over test speakers, of falling further than "
        "max_regression. 0.5: as likely as not; 0.05: only what is surely not worse passes.",
    )
    allow_zero_class: bool = Field(False, description="Gate: let a class pass that is never recognised.")
    min_class_f1: dict[str, float] = Field(
        {}, description="Gate: least F1 of single classes, 0 to 1, such as {stutter: 0.7}."
    )
    max_accepted_error: float = Field(
        0.1, gt=0, lt=1, description="Share of wrong answers to allow, 0 to 1; 'unsure' is said to keep below it."
    )
    fewest_letters: float = Field(
        0.5, ge=0, description="A defect told by letters is not assessable where fewer are counted; 0: always judged."
    )


class BundleSettings(Settings):
    """The model folder that a successful run leaves."""

    publish: bool = Field(True, description="Put the bundle into service if it passes the gate.")
    max_seconds: float = Field(60.0, gt=0, le=3600, description="Longest recording the service takes, seconds.")
    override_gate: str | None = Field(
        None,
        min_length=10,
        description="Serve the model though the gate refuses it, and why: the reason stands in log, bundle and card.",
    )


class ScoreSettings(Settings):
    """Which bundle the `evaluate` job judges, and on which clips."""

    manner = frozenset({"device", "batch_size", "precision"})

    bundle: str = Field("service", description="A bundle's id, or 'service' for the one in service.")
    batch_size: int = Field(8, ge=1, description="Clips diagnosed at once.")
    device: Device = Field(Device.auto, description="Where to compute.")
    precision: Precision = Field(Precision.auto, description=_JUDGED_IN)


class WatchSettings(Settings):
    """When what the service is sent counts as another population."""

    max_psi: float = Field(
        0.25,
        gt=0,
        description="Population stability index from which a figure has drifted; 0.1 is worth a look, 0.25 is much.",
    )
    least_answers: int = Field(100, ge=20, description="Answers, of all workers, below which nothing is told.")
    max_age_hours: float = Field(24.0, gt=0, description="A worker that counted nothing new for so long is left out.")


class RollbackSettings(Settings):
    """Which bundle the `rollback` job puts back."""

    recipe: Recipe = Field(Recipe.defects, description="Whose bundle: the defects' or the recogniser's.")


STAGES: dict[str, type[Settings]] = {
    "archive": ArchiveSettings,
    "clips": ClipSettings,
    "transcripts": TranscriptSettings,
    "markers": MarkerSettings,
    "encoder": EncoderSettings,
    "heads": HeadSettings,
    "evaluation": EvaluationSettings,
    "bundle": BundleSettings,
    "scores": ScoreSettings,
}

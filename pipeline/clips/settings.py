"""What makes a clip usable and how clips are split: the settings of both recipes' clips."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from pipeline.settings import Settings
from speech.audio.limits import MIN_SPEECH_SECONDS, AudioLimits
from speech.defects.spec import REFERENCE_CLASS

TRAINING = "train"
SPLITS = (TRAINING, "validation", "test")
MOST_FILE_BYTES = 64 << 20  # larger files are quarantined unread: at 16 bits and 48 kHz they would hold five minutes


class CorpusSettings(Settings):
    """How the table and the audio are read, checked and split, whatever is learnt from them."""

    not_in_key = frozenset({"decoder_timeout_seconds"})

    content_without_speakers: ClassVar[bool] = False
    """Where there are fewer speakers than splits: whether their clips are split by content, or the stage fails."""

    language: str = Field("ru", description="Language of the speech: a file configs/languages/<language>.yaml.")
    column_aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="More names of the table's columns, by role: file, label, speaker, text, split, group.",
    )
    min_seconds: float = Field(0.3, ge=0.1, description="Shortest clip, seconds.")
    min_speech_seconds: float = Field(
        MIN_SPEECH_SECONDS, ge=0, le=10, description="Least speech in a clip, seconds; 0: clips need not hold speech."
    )
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

    @property
    def fewest_clips(self) -> int:
        """Fewest clips of a class in each split."""
        return 1

    @property
    def fewest_speakers(self) -> int:
        """Fewest speakers of a class in each split; a clip without one counts as its own."""
        return 1

    @property
    def shares(self) -> dict[str, float]:
        """Split name to the share of clips meant for it; they sum to 1."""
        train = max(0.0, 1 - self.validation_share - self.test_share)
        return {"train": train, "validation": self.validation_share, "test": self.test_share}

    @property
    def audio_limits(self) -> AudioLimits:
        """What the decoder refuses."""
        return AudioLimits(
            max_bytes=MOST_FILE_BYTES,
            min_seconds=self.min_seconds,
            max_seconds=self.max_seconds,
            silence_dbfs=self.silence_dbfs,
            min_speech_seconds=self.min_speech_seconds,
        )


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

    @property
    def fewest_clips(self) -> int:
        return self.min_clips_per_class

    @property
    def fewest_speakers(self) -> int:
        return self.min_speakers_per_class

"""The settings of the recogniser's data: where recordings and texts come from, and how they are read and split."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from pipeline.settings import ArchiveSettings, CorpusSettings, Settings

SEED_DATASET = {"name": "ekacare/eka-medical-asr-evaluation-dataset", "configuration": "en", "split": "test"}
"""What the recipe was first made for; its 30 % are halved between choosing and judging."""


class DatasetSettings(Settings):
    """A dataset of the Hugging Face hub, or a local folder in one of its layouts (audiofolder, parquet)."""

    manner = frozenset({"name", "revision", "streaming"})  # what they give stands in the key by its content

    name: str = Field(
        min_length=1,
        description="Name on the hub (owner/name), or the path of a local folder. A gated one needs HF_TOKEN in the "
        "pipeline's environment. Code that comes with a dataset is never run.",
    )
    configuration: str | None = Field(None, description="Its configuration (subset); none for the default one.")
    split: str = Field("train", min_length=1, description="The split that is taken, whatever it is called there.")
    revision: str | None = Field(None, description="Branch, tag or commit; none for the newest.")
    audio_column: str = Field("audio", description="The column with the recordings.")
    text_column: str = Field("text", description="The column with what is said in them.")
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

    language: str = Field("en", description="Language of the texts: a file configs/languages/<language>.yaml.")
    min_seconds: float = Field(0.6, ge=0.1, description="Shortest clip, seconds.")
    test_share: float = Field(0.15, gt=0, lt=0.5, description="Share of the clips for judging, 0 to 0.5.")
    min_clips_per_split: int = Field(3, ge=1, description="Fewest clips in each split.")
    seed: int = Field(42, description="Seed of the split of speakers seen for the first time.")

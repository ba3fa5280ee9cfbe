"""What is answered of batches, as it stands in the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import batch_examples as examples
from calls.archive import ArchiveState


class BatchFiles(BaseModel):
    """How many files of a batch are in which state."""

    total: int
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = Field(0, description="Not judged; `failures` says why")
    cancelled: int = 0


class BatchFailure(BaseModel):
    """A file that was not judged."""

    file: str = Field(description="Its name, as sent or as in the zip")
    code: str = Field(
        description="Stable, for machines: as for a single recording, or empty, encrypted, nested_archive, twice, "
        "damaged, gone, unreadable, no_speech, unsafe_name, unsafe_entry, unsupported_packing, no_transcript, "
        "given_up, internal"
    )
    detail: str = Field(description="A sentence for people")


class ListedBatch(BaseModel):
    """An archive of calls and how far it is. Moments are UTC, ISO 8601."""

    id: str
    name: str = Field(description="Of the zip or the folder, or how many files were sent")
    state: ArchiveState = Field(description="waiting: nothing of it was judged yet; done: failures may stand beside")
    created: str
    finished: str | None = Field(description="When it was done or cancelled")
    kept_until: str | None = Field(description="When it is deleted by itself; null while it runs")
    sides: bool = Field(description="Whether each channel is judged by itself")
    transcript: bool = Field(description="Whether the words spoken are kept besides")
    files: BatchFiles
    progress: float = Field(description="0 to 1, in bytes of recordings")
    seconds_of_sound: float = Field(description="That were judged")
    seconds_left: float | None = Field(description="Estimated from what was measured; null before anything was")


class ShownBatch(ListedBatch):
    """A batch with the files that could not be judged."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.BATCH]})

    failures: list[BatchFailure] = Field(description="The first 1000; results have all")


class BatchUsage(BaseModel):
    """What the asker's batches take, and may take."""

    batches: int
    most_batches: int
    bytes: int = Field(description="Of recordings that are still to be judged; they go when a batch ends")
    most_bytes: int


class BatchList(BaseModel):
    """A page of batches."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.LIST]})

    batches: list[ListedBatch] = Field(description="Newest first")
    total: int
    limit: int
    offset: int
    usage: BatchUsage
    window_seconds: float = Field(description="Longest piece of a call that is computed at once")
    longest_delay_seconds: float | None = Field(
        description="The bound on how long a single prediction waits for batches in each second that it takes: a turn "
        "that windows have even under a load that never ceases, and the longest stretch between two looks of a window, "
        "as this worker has measured; null before it judged one"
    )


class DeletedBatch(BaseModel):
    """What is gone."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.DELETED]})

    deleted: str = Field(description="The batch's id")

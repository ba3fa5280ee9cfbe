"""What makes a clip usable and how clips are split: the settings of the clips stage."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.clips.errors import ClipsError
from speech.audio.decode import SILENCE_DBFS, AudioLimits

SPLITS = ("train", "validation", "test")


class ClipOptionError(ClipsError):
    """A setting of the clips stage is out of range; the message names the field and what is allowed."""


@dataclass(frozen=True)
class ClipOptions:
    """Settings of the clips stage. Raises `ClipOptionError` where a value is out of range."""

    min_seconds: float = 0.3
    """Shorter recordings are quarantined (seconds of decoded sound)."""
    max_seconds: float = 30.0
    """Longer recordings are quarantined (seconds of decoded sound)."""
    max_megabytes: float = 64.0
    """Larger files are quarantined unread (megabytes of 2**20 bytes, encoded)."""
    silence_dbfs: float = SILENCE_DBFS
    """Recordings whose mean level is lower are quarantined as silent (dBFS, 0 is full scale)."""
    decoder_timeout_seconds: float = 60.0
    """A decoder that takes longer over one file is stopped and the file quarantined (seconds)."""
    max_bad_share: float = 0.1
    """More bad rows than this, or more bad audio files without a row, fail the stage (share, 0 to 1)."""
    validation_share: float = 0.15
    """Share of each class's clips that picks the best weights (0 to 1)."""
    test_share: float = 0.2
    """Share of each class's clips that judges the result and is never trained on (0 to 1); training gets the rest."""
    min_clips_per_class: int = 3
    """Fewer clips of a class in any split fail the stage (clips; splits with share 0 do not count)."""
    min_speakers_per_class: int = 1
    """Fewer speakers of a class in any split fail the stage (speakers; a clip without one counts as its own)."""
    use_split_column: bool = True
    """Take splits from the table's split column where it has one."""
    content_without_speakers: bool = False
    """Where there are fewer speakers than splits, split their clips by content instead of failing."""
    seed: int = 20
    """Breaks ties when new speakers are assigned; the same seed and clips give the same splits."""

    def __post_init__(self) -> None:
        _require(0 < self.min_seconds < self.max_seconds, "min_seconds", "above 0 and below max_seconds")
        _require(self.max_seconds <= 3600, "max_seconds", "at most 3600")
        _require(self.max_megabytes > 0, "max_megabytes", "above 0")
        _require(-120 <= self.silence_dbfs < 0, "silence_dbfs", "at least -120 and below 0")
        _require(self.decoder_timeout_seconds > 0, "decoder_timeout_seconds", "above 0")
        _require(0 <= self.max_bad_share <= 1, "max_bad_share", "from 0 to 1")
        _require(0 <= self.validation_share <= 1, "validation_share", "from 0 to 1")
        _require(0 <= self.test_share <= 1, "test_share", "from 0 to 1")
        _require(self.validation_share + self.test_share <= 1, "validation_share + test_share", "at most 1")
        _require(self.min_clips_per_class >= 0, "min_clips_per_class", "0 or more")
        _require(self.min_speakers_per_class >= 0, "min_speakers_per_class", "0 or more")

    @property
    def shares(self) -> dict[str, float]:
        """Split name to the share of clips meant for it; they sum to 1."""
        train = max(0.0, 1 - self.validation_share - self.test_share)
        return {"train": train, "validation": self.validation_share, "test": self.test_share}

    @property
    def audio_limits(self) -> AudioLimits:
        """What the decoder refuses."""
        return AudioLimits(
            max_bytes=int(self.max_megabytes * 2**20),
            min_seconds=self.min_seconds,
            max_seconds=self.max_seconds,
            silence_dbfs=self.silence_dbfs,
        )


def _require(holds: bool, field: str, allowed: str) -> None:
    if not holds:
        raise ClipOptionError(f"clips: {field} must be {allowed}")

"""Clip sets of hums, made without an archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.clips.samples import SampleWriter, content_hash, to_int16
from tests.recordings import hum


def nothing(_: int) -> None:
    """No clip has a text."""


def hums(
    folder: Path,
    splits: dict[str, int],
    classes: Sequence[str],
    text: Callable[[int], str | None] = nothing,
    seconds: float = 0.5,
) -> ClipSet:
    """So many a split, two clips a speaker, with `classes` in turn and the `text` of the clip's number in the split."""
    records: list[ClipRecord] = []
    with SampleWriter(folder / "samples.i16") as writer:
        for split, clips in splits.items():
            for number in range(clips):
                sound = to_int16(hum(seconds + 0.1 * (number % 3), len(records)))
                content = content_hash(sound)
                record = {
                    "id": content[:16], "archive": "hums", "file": f"{number}.wav", "row": number, "sha256": content,
                    "content": content, "label": classes[number % len(classes)], "speaker": f"{split} {number // 2}",
                    "text": text(number), "group": None, "split": split, "seconds": len(sound) / 16_000,
                    "source_rate": 16_000, "channels": 1, "level_dbfs": -20.0, "peak_dbfs": -3.0, "clipped_share": 0.0,
                    "silent_share": 0.0, "offset": writer.append(content, sound), "length": len(sound),
                }  # fmt: skip
                records.append(ClipRecord(**record))
    meta = {"archives": ["hums"], "options": {"min_seconds": 0.3}}
    return ClipSet(folder, tuple(records), tuple(classes), "ru", True, meta)

"""Recordings of people and of synthesisers built from people: corpora as `python -m bench.corpora` makes them.

Only those whose licence lets a model that learned from them be given away (`may_ship`), and only Russian ones.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from pipeline.training.augmentation import VARIED
from speech.audio.decode import SAMPLE_RATE, decode

TABLE, LANGUAGE = "clips.csv", "ru"
SPEAKER_SECONDS = 3600.0  # a speaker of whom there is less is heard at several speeds, as if there were several
MOST_COPIES = 3
LONGEST_SECONDS = 15.0  # a longer recording is left out: a batch is as long as its longest clip


@dataclass(frozen=True)
class Recording:
    """A file, what is said in it (empty where that is unknown), and who says it."""

    path: Path
    text: str
    speaker: str
    seconds: float


def recordings(folders: Sequence[Path], without: Sequence[str]) -> list[Recording]:
    """The recordings of corpora's folders that a model which ships may learn from; none of the sources `without`.

    Raises `FileNotFoundError` for a folder without `clips.csv`, `ValueError` where nothing is left.
    """
    found = []
    for folder in folders:
        with (folder / TABLE).open(encoding="utf-8", newline="") as table:
            for row in csv.DictReader(table):
                if row["may_ship"] == "yes" and row["language"] == LANGUAGE and row["source"] not in without:
                    path = folder / row["file"]
                    seconds = len(decode(path).samples) / SAMPLE_RATE
                    if seconds <= LONGEST_SECONDS:
                        found.append(Recording(path, row["text"], row["speaker"], seconds))
    if not found:
        raise ValueError(f"no recording in {', '.join(map(str, folders))} may be learned from")
    return found


def copies(found: Sequence[Recording], rng: np.random.Generator) -> Iterator[tuple[Recording, np.ndarray]]:
    """Each recording as float32 samples (n,) at 16 kHz, and where its speaker is heard little at other speeds too."""
    seconds: Counter[str] = Counter()
    for recording in found:
        seconds[recording.speaker] += recording.seconds  # type: ignore[assignment]
    for recording in found:
        samples = decode(recording.path).samples
        yield recording, samples
        wanted = round(SPEAKER_SECONDS / seconds[recording.speaker])
        for _ in range(min(MOST_COPIES, max(1, wanted)) - 1):
            speed = rng.uniform(*VARIED.speeds)
            yield recording, soxr.resample(samples, SAMPLE_RATE * speed, SAMPLE_RATE).astype(np.float32)

"""Recordings of people and of synthesisers built from people: corpora as `python -m bench.corpora` makes them.

Only those whose licence lets a model that learned from them be given away (`may_ship`), and only Russian ones.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from pipeline.training.augmentation import VARIED
from speech.audio.decode import SAMPLE_RATE

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
                    seconds = soundfile.info(path).duration
                    if seconds <= LONGEST_SECONDS:
                        found.append(Recording(path, row["text"], row["speaker"], seconds))
    if not found:
        raise ValueError(f"no recording in {', '.join(map(str, folders))} may be learned from")
    return found


def speeds(found: Sequence[Recording], rng: np.random.Generator) -> list[tuple[float, ...]]:
    """At which speeds each recording is heard: as it is, and where there is little of its speaker at others too."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for recording in found:
        seconds[recording.speaker] += recording.seconds
    drawn = []
    for recording in found:
        wanted = min(MOST_COPIES, max(1, round(SPEAKER_SECONDS / seconds[recording.speaker])))
        drawn.append((1.0, *(float(rng.uniform(*VARIED.speeds)) for _ in range(wanted - 1))))
    return drawn


def at_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Samples (n,) at 16 kHz, faster or slower: pitch and formants move along."""
    return samples if speed == 1.0 else soxr.resample(samples, SAMPLE_RATE * speed, SAMPLE_RATE).astype(np.float32)

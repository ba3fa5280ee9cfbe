"""Small zipped archives with sound whose class can be heard, for tests of the whole way."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
CLASSES = ("none", "burr", "fricative_g", "stutter")
_TEXTS = ("мама мыла окно", "рыба и рак", "гора и город", "дом и сад", "лиса и цапля за лесом")
_HERTZ = (150.0, 500.0, 1500.0, 4000.0, 2500.0)


def sound(label: int, speaker: int, number: int, seconds: float = 0.8) -> np.ndarray:
    """A tone whose height tells the class, with the speaker's vibrato and noise; float32 (n,)."""
    noise = np.random.default_rng([label, speaker, number])
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * _HERTZ[label] * time + np.sin(2 * np.pi * (2 + speaker) * time)
    return (0.3 * np.sin(phase) + noise.normal(0, 0.01, len(time))).astype(np.float32)


def write_archive(
    path: Path,
    speakers: int = 9,
    clips: int = 1,
    classes: Sequence[str] = CLASSES,
    texts: Sequence[str] = _TEXTS,
) -> Path:
    """A zip in the project's layout: every speaker has `clips` clips of each class. Returns `path`."""
    rows = ["file,label,speaker,text"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for speaker in range(speakers):
            for label, name in enumerate(classes):
                for number in range(clips):
                    file = f"s{speaker}_{name}_{number}.wav"
                    buffer = io.BytesIO()
                    soundfile.write(buffer, sound(label, speaker, number), RATE, format="WAV")
                    archive.writestr(f"data_mp3/train/{file}", buffer.getvalue())
                    rows.append(f"{file},{name},voice{speaker},{texts[label]}")
        archive.writestr("data_train.csv", "\n".join(rows))
    return path

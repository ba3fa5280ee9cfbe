"""Small archives of recordings with texts."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
HEADER = ("file", "text", "speaker")


def wav(number: int, seconds: float = 0.8) -> bytes:
    """A tone in noise; another `number` gives another sound."""
    times = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(number).normal(0, 0.02, len(times))
    sound = (0.3 * np.sin(2 * np.pi * (200 + number % 50) * times) + noise).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, RATE, format="WAV")
    return buffer.getvalue()


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def spoken(speakers: int, clips: int, text: str = "one two") -> list[tuple[str, str, str]]:
    """Rows of `speakers` speakers with `clips` clips each."""
    return [(f"s{who}_{take}.wav", f"{text} {take}", f"s{who}") for who in range(speakers) for take in range(clips)]


def write_folder(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    """An unpacked archive: a recording for each row."""
    place = folder / "data_mp3" / "train"
    place.mkdir(parents=True)
    (folder / "data_train.csv").write_text(table(rows, header), encoding="utf-8")
    for number, row in enumerate(rows):
        if not (place / row[0]).exists():
            (place / row[0]).write_bytes(wav(number))
    return folder


def write_zip(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    """A zipped archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data_train.csv", table(rows, header))
        for number, row in enumerate(rows):
            archive.writestr(f"data_mp3/train/{row[0]}", wav(number))
    return path

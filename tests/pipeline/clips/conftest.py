"""Small real archives: wav files with sound that differs from clip to clip, and a table beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.clips.contents import Vocabulary

COLUMNS = {
    "file": ["path", "filename", "файл"],
    "label": ["class", "метка", "диагноз"],
    "speaker": ["speaker_id", "диктор"],
    "text": ["transcript", "текст"],
    "split": ["subset", "выборка"],
    "group": ["группа"],
}
CLASSES = {
    "none": ["0", "норма", "нет"],
    "burr": ["1", "r", "картавость"],
    "fricative_g": ["2", "g", "фрикативное г"],
    "stutter": ["3", "заикание", "тёмная"],
}
SPLITS = {"train": ["обучение"], "validation": ["valid", "dev"], "test": ["тест"]}

MakeSound = Callable[..., np.ndarray]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(COLUMNS, CLASSES, SPLITS)


@pytest.fixture
def sound() -> MakeSound:
    """A tone in noise, float32 (n,); another `number` gives another sound."""

    def make(number: int, seconds: float = 0.5, rate: int = 16_000) -> np.ndarray:
        times = np.arange(int(seconds * rate)) / rate
        noise = np.random.default_rng(number).normal(0, 0.02, len(times))
        return (0.3 * np.sin(2 * np.pi * (200 + number % 50) * times) + noise).astype(np.float32)

    return make


@pytest.fixture
def archive(tmp_path: Path, sound: MakeSound) -> Callable[..., Path]:
    """Write an unpacked archive: `rows` are (file, label, speaker, split); audio for each, or as in `audio`."""

    def make(
        rows: list[tuple[str, ...]],
        name: str = "archive",
        header: tuple[str, ...] = ("file", "label", "speaker", "split"),
        audio: list[str] | None = None,
        first: int = 0,
    ) -> Path:
        folder = tmp_path / name
        place = folder / "data_mp3" / "train"
        place.mkdir(parents=True)
        lines = [header, *rows]
        (folder / "data_train.csv").write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
        files = dict.fromkeys(row[0] for row in rows) if audio is None else audio
        for number, file in enumerate(files):
            soundfile.write(place / file, sound(first + number), 16_000)
        return folder

    return make


@pytest.fixture
def balanced() -> list[tuple[str, ...]]:
    """24 rows: six speakers, each with one clip of each of the four classes."""
    return [(f"s{speaker}_{label}.wav", label, f"s{speaker}", "") for speaker in range(6) for label in CLASSES]

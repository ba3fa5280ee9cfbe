"""Recordings one after the other in a file are all heard, each at its own rate."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE, decode
from speech.audio.limits import AudioLimits
from speech.audio.sections import sections
from speech.audio.stream import Blocks
from tests.long import heard, sentence

HERE = Path(__file__).resolve().parent
FILES = {
    "chained_opus.ogg": 2, "chained_rates.ogg": 3, "joined.mp3": 2, "joined.aac": 2, "joined.flac": 2, "joined.wav": 2,
    "joined.webm": 2, "joined.m4a": 2,
}  # fmt: skip


def envelope(samples: np.ndarray, frames: int = 40) -> np.ndarray:
    """Levels of so many stretches of the samples."""
    return np.sqrt([np.mean(np.square(part)) for part in np.array_split(samples, frames)])


@pytest.mark.parametrize(("name", "count"), FILES.items())
def test_every_part_is_heard_at_its_rate(name: str, count: int) -> None:
    sound = decode(HERE / name)
    assert sound.seconds == pytest.approx(count * len(sentence()) / SAMPLE_RATE, abs=0.3)
    assert (sound.cut_short, sound.damaged) == (False, False)
    for part in np.array_split(sound.samples, count):
        assert np.corrcoef(envelope(part), envelope(sentence()))[0, 1] > 0.8
    with FileIO(HERE / name) as file:
        assert sum(piece.seconds for piece in Blocks(file, AudioLimits())) == pytest.approx(sound.seconds, abs=0.01)


@pytest.mark.parametrize("name", ["chained_rates.ogg", "joined.flac"])
def test_a_stream_has_the_windows_of_all_parts(name: str) -> None:
    windows, summary = heard(HERE / name)
    assert summary.seconds == pytest.approx(FILES[name] * len(sentence()) / SAMPLE_RATE, abs=0.1)
    assert summary.speech_seconds[None] > FILES[name] * 2.0
    assert windows[-1].end > (FILES[name] - 0.5) * len(sentence()) / SAMPLE_RATE


@pytest.mark.parametrize("name", ["damaged.ogg", "damaged.m4a", "damaged.mp3", "cut.flac"])
def test_one_recording_is_one(name: str) -> None:
    with FileIO(HERE / name) as file:
        assert len(sections(file)) == 1

"""What does not decode is left out and said; the rest of the recording is heard, whole or as a stream."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE, Sound, decode
from speech.audio.limits import AudioLimits
from speech.audio.stream import Blocks
from tests.long import sentence

HERE = Path(__file__).resolve().parent
WHOLE = len(sentence()) / SAMPLE_RATE


def streamed(path: Path) -> tuple[float, bool, bool]:
    """Seconds, and whether the stream is cut short or damaged."""
    with FileIO(path) as file:
        blocks = Blocks(file, AudioLimits())
        seconds = sum(piece.seconds for piece in blocks)
    return seconds, blocks.cut_short, blocks.damaged


def likeness(sound: Sound) -> float:
    """The greatest correlation of a recording with the sentence, over shifts."""
    wanted = sentence() / np.linalg.norm(sentence())
    size = 2 * max(len(wanted), len(sound.samples))
    spectra = np.fft.rfft(sound.samples, size) * np.conj(np.fft.rfft(wanted, size))
    return float(np.fft.irfft(spectra).max() / np.linalg.norm(sound.samples))


@pytest.mark.parametrize("name", ["m4a", "wma", "aac", "flac", "mp3", "ogg"])
def test_one_bad_packet_costs_that_packet(name: str) -> None:
    path = HERE / f"damaged.{name}"
    sound = decode(path)
    assert sound.seconds == pytest.approx(WHOLE, abs=0.2)
    assert (sound.cut_short, sound.damaged) == (False, True)
    assert likeness(sound) > 0.5
    assert sound.quality.clipped_share == 0.0  # damage is no noise
    assert streamed(path) == (pytest.approx(sound.seconds, abs=0.01), False, True)


def test_one_bad_packet_in_fragments() -> None:
    sound = decode(HERE / "damaged_fragments.mp4")
    assert sound.seconds == pytest.approx(WHOLE, abs=0.1)
    assert (sound.cut_short, sound.damaged) == (False, True)
    assert likeness(sound) > 0.5


@pytest.mark.parametrize("name", ["cut.m4a", "cut_fragments.mp4", "cut.wma", "cut.flac"])
def test_what_a_cut_file_holds_is_heard(name: str) -> None:
    sound = decode(HERE / name)
    assert 1.5 < sound.seconds < 2.2
    assert (sound.cut_short, sound.damaged) == (True, False)
    assert streamed(HERE / name) == (pytest.approx(sound.seconds, abs=0.01), True, False)


def test_comfort_noise_is_no_damage() -> None:
    sound = decode(HERE / "comfort_noise.amr")
    assert sound.seconds == pytest.approx(3.44, abs=0.02)
    assert (sound.cut_short, sound.damaged) == (False, False)
    assert streamed(HERE / "comfort_noise.amr") == (pytest.approx(3.44, abs=0.02), False, False)


@pytest.mark.parametrize("name", ["city.ogg", "forest.ogg"])
def test_whole_files_are_whole(name: str) -> None:
    sound = decode(HERE.parents[1] / "sounds" / name)
    assert (sound.cut_short, sound.damaged) == (False, False)

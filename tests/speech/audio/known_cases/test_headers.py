"""Headers that were never finished, and samples on another scale than the header's."""

from __future__ import annotations

import io
import struct
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech.audio.decode import SAMPLE_RATE, decode
from speech.audio.limits import AudioLimits
from speech.audio.stream import Blocks
from tests.long import sentence
from tests.speech.audio.known_cases.make import plain

VOICE = 0.5 * sentence()[:47_000]  # an odd number of bytes would be padded


def without_sizes(data: bytes, size: int) -> bytes:
    """A wav whose header was written when recording began, with that size of data in it."""
    at = data.index(b"data") + 4
    return data[:4] + struct.pack("<I", size) + data[8:at] + struct.pack("<I", size) + data[at + 4 :]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "PCM_24", "ULAW", "FLOAT"])
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_recorder_that_was_switched_off(tmp_path: Path, subtype: str, size: int) -> None:
    data = plain(VOICE, "WAV", subtype)
    sound = decode(without_sizes(data, size))
    np.testing.assert_allclose(sound.samples, decode(data).samples, atol=1e-6)
    assert (sound.cut_short, sound.damaged) == (False, False)
    path = tmp_path / "a.wav"
    path.write_bytes(without_sizes(data, size))
    with FileIO(path) as file:
        assert sum(piece.seconds for piece in Blocks(file, AudioLimits())) == pytest.approx(sound.seconds)


@pytest.mark.parametrize("bits", [15, 23, 31])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "AIFF", "W64"])
def test_floats_on_the_scale_of_integers(kind: str, subtype: str, bits: int) -> None:
    sound = decode(plain(VOICE * 2.0**bits, kind, subtype))
    np.testing.assert_allclose(sound.samples, VOICE, atol=1e-6)
    assert sound.quality.clipped_share == 0.0


def test_floats_on_the_scale_of_integers_without_a_size() -> None:
    np.testing.assert_allclose(
        decode(without_sizes(plain(VOICE * 2.0**15, "WAV", "FLOAT"), 0)).samples, VOICE, atol=1e-6
    )


def test_floats_a_little_beyond_full_scale_are_not_clipped() -> None:
    sound = decode(plain(VOICE / np.abs(VOICE).max() * 1.4, "WAV", "FLOAT"))
    assert sound.quality.peak_dbfs == pytest.approx(0.0, abs=0.01)
    assert sound.quality.clipped_share < 1e-3


@pytest.mark.parametrize("level", [0.01, 1.0])
def test_floats_within_full_scale_are_not_changed(level: float) -> None:
    file = io.BytesIO()
    samples = level * VOICE / np.abs(VOICE).max()
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    assert np.array_equal(decode(file.getvalue()).samples, samples.astype(np.float32))


@pytest.mark.parametrize(("kind", "place", "count"), [("AU", 8, 4), ("RF64", 28, 8)])
def test_a_zero_for_the_size_is_no_lack_of_sound(kind: str, place: int, count: int) -> None:
    data = plain(VOICE, kind)
    sound = decode(data[:place] + bytes(count) + data[place + count :])
    np.testing.assert_allclose(sound.samples, decode(data).samples, atol=1e-6)
    assert (sound.cut_short, sound.damaged) == (False, False)

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE, AudioError, decode
from speech.longform.cutter import Cutter, Listening, LongLimits, Window, hearing_server
from speech.longform.overlap_windows import OverlapCutter, windows
from tests.recordings import encoded, hum


def cut(samples: np.ndarray, piece: int, window: float = 2.0, overlap: float = 0.5) -> list[Window]:
    cutter = OverlapCutter(window, overlap)
    found = [w for at in range(0, len(samples), piece) for w in cutter.add(samples[at : at + piece])]
    return found + list(cutter.finish())


@pytest.mark.parametrize("seconds", [0.3, 2.0, 2.01, 2.1, 3.5, 3.6, 5.0, 11.3])
@pytest.mark.parametrize("piece", [1_000, 16_000, 200_000])
def test_windows_of_sound_that_comes_in_pieces_are_those_of_the_whole(seconds: float, piece: int) -> None:
    samples = hum(seconds)
    found = cut(samples, piece)
    expected = windows(len(samples), window_seconds=2.0, overlap_seconds=0.5)
    assert [(round(w.start * SAMPLE_RATE), round(w.end * SAMPLE_RATE)) for w in found] == expected
    for (start, end), window in zip(expected, found, strict=True):
        assert np.array_equal(window.samples, samples[start:end])


def test_windows_that_would_not_get_on_are_refused() -> None:
    with pytest.raises(ValueError, match="advance"):
        OverlapCutter(2.0, 2.0)


def heard(data: bytes, limits: LongLimits | None = None) -> list[Window]:
    server = hearing_server()
    try:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            with Cutter(file, Listening(window_seconds=2.0), limits, server=server, overlap_seconds=0.5) as cutter:
                return list(cutter)
    finally:
        server.close()


@pytest.mark.parametrize(("form", "rate"), [("WAV", 16_000), ("MP3", 44_100), ("OGG", 48_000)])
def test_an_open_file_is_heard_as_the_short_decoder_hears_it(form: str, rate: int) -> None:
    data = encoded(hum(5.0, rate=rate), form, rate)
    whole = decode(data).samples
    for window in heard(data):
        start = round(window.start * SAMPLE_RATE)
        np.testing.assert_allclose(window.samples, whole[start : start + len(window.samples)], atol=2e-3)


def test_silence_and_length_are_refused() -> None:
    for sound, limits, code in (
        (np.zeros(16_000 * 5, np.float32), None, "silent"),
        (hum(1.0) * 1e-4, None, "silent"),
        (hum(5.0), LongLimits(max_seconds=4.0), "too_long"),
    ):
        with pytest.raises(AudioError) as caught:
            heard(encoded(sound), limits)
        assert caught.value.code == code


def test_a_word_in_long_silence_is_heard() -> None:
    sound = np.concatenate([np.zeros(16_000 * 20), hum(0.2) * 0.02, np.zeros(16_000 * 20)]).astype(np.float32)
    assert len(heard(encoded(sound))) > 20


def test_a_path_is_taken_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(hum(3.0)))
    with Cutter(path, Listening(window_seconds=2.0), overlap_seconds=0.5) as cutter:
        assert len(list(cutter)) == 2
        assert cutter.summary.seconds == pytest.approx(3.0)

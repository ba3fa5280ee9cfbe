"""Tracks and channels are chosen by what sounds in them."""

from __future__ import annotations

import io
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from speech.audio.channels import weights
from speech.audio.decode import SAMPLE_RATE, decode
from speech.audio.stream import Blocks
from speech.longform.child import windows
from speech.longform.cutter import Listening, LongLimits, Window
from tests.long import sentence
from tests.speech.audio.known_cases.make import contained_tracks, plain

VOICE = sentence()
SILENCE = np.zeros_like(VOICE)
TIME = np.arange(len(VOICE)) / SAMPLE_RATE
HUM = (0.3 * np.sin(2 * np.pi * 50 * TIME)).astype(np.float32)
TONE = (0.3 * np.sin(2 * np.pi * 425 * TIME)).astype(np.float32)


def noise(dbfs: float, seed: int = 0) -> np.ndarray:
    return (10 ** (dbfs / 20) * np.random.default_rng(seed).standard_normal(len(VOICE))).astype(np.float32)


CASES = {
    "inverted": [VOICE, -VOICE],
    "inverted and fainter": [VOICE, -0.5 * VOICE],
    "inverted in noise": [VOICE + noise(-45, 1), -VOICE + noise(-45, 2)],
    "inverted, with hum in both": [VOICE + HUM, -VOICE + HUM],
    "two of three inverted": [-VOICE, VOICE, -VOICE],
    "one of two": [SILENCE, VOICE],
    "one of eight": [*[SILENCE] * 6, VOICE, SILENCE],
    "one of eight, the others with a noise floor": [*[noise(-70, seed) for seed in range(7)], VOICE],
    "beside noise as loud": [noise(-20), VOICE],
    "beside hum": [HUM, VOICE],
    "beside a tone": [VOICE, TONE],
    "beside an offset": [VOICE, SILENCE + 0.5],
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_voice_is_heard_as_if_alone(tmp_path: Path, name: str, rate: int) -> None:
    data = plain(np.stack(CASES[name], axis=1), "WAV", "FLOAT", rate)
    for samples in (decode(data).samples, streamed(tmp_path / "a.wav", data)):
        voice, found = VOICE[: len(samples)], samples[: len(VOICE)]
        spectrum = np.fft.rfft(found)
        spectrum[np.fft.rfftfreq(len(found), 1 / SAMPLE_RATE) < 80] = 0.0
        assert abs(np.corrcoef(np.fft.irfft(spectrum, len(found)), voice)[0, 1]) > 0.95
        assert np.sqrt(np.mean(np.square(found))) > 0.7 * np.sqrt(np.mean(np.square(voice)))


def streamed(path: Path, data: bytes) -> np.ndarray:
    path.write_bytes(data)
    whole = np.zeros(len(VOICE) + SAMPLE_RATE, np.float32)
    with FileIO(path) as file:
        for each in windows(Blocks(file, LongLimits().shape), Listening(), LongLimits()):
            if isinstance(each, Window):
                start = round(each.start * SAMPLE_RATE)
                whole[start : start + len(each.samples)] = each.samples
    return whole[: len(VOICE)]


def test_channels_that_are_all_heard_are_mixed_as_ever() -> None:
    both = np.stack([VOICE, 0.7 * VOICE + noise(-50)], axis=1)
    assert np.array_equal(decode(plain(both, "WAV", "FLOAT")).samples, both.mean(axis=1, dtype=np.float32))
    turns = np.stack([np.concatenate([VOICE, SILENCE]), np.concatenate([SILENCE, 0.2 * VOICE])], axis=1)
    assert weights(turns, SAMPLE_RATE).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("tracks", [[SILENCE, VOICE], [TONE, VOICE], [noise(-20), SILENCE, VOICE], [VOICE, SILENCE]])
@pytest.mark.parametrize(("kind", "codec"), [("matroska", "pcm_s16le"), ("mp4", "aac")])
def test_the_track_is_heard_in_which_somebody_speaks(
    tmp_path: Path, tracks: list[np.ndarray], kind: str, codec: str
) -> None:
    sound = decode(contained_tracks(tracks, tmp_path / "scratch", kind, codec))
    delays = (0, 1024)  # AAC's encoder begins with as many samples of nothing
    alike = [np.corrcoef(*_together(sound.samples[delay:], VOICE))[0, 1] for delay in delays]
    assert max(alike) > 0.95


def _together(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = min(len(one), len(other))
    return one[:length], other[:length]


def test_of_tracks_in_which_nobody_speaks_the_first_that_sounds_is_heard(tmp_path: Path) -> None:
    data = contained_tracks([SILENCE, TONE], tmp_path / "scratch", "matroska", "pcm_s16le")
    with io.BytesIO(data) as file:
        piece = next(iter(Blocks(file, LongLimits().shape)))
    assert np.abs(piece.samples).max() > 0.2

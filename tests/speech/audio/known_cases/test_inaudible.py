"""What nobody hears changes no level and no caution, and is no sound by itself."""

from __future__ import annotations

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE, AudioError, decode, measure
from speech.audio.quality import cautions, examine
from speech.audio.tempo import measure as pace
from speech.defects.training_distance import figures_of
from tests.long import room, sentence
from tests.speech.audio.known_cases.make import plain

VOICE = sentence() + room(len(sentence()) / SAMPLE_RATE)
TIME = np.arange(60 * SAMPLE_RATE) / SAMPLE_RATE


def sine(hertz: float, level: float) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


INAUDIBLE = {
    "offset of 0.5%": np.full(len(TIME), 0.005, np.float32),
    "offset of 20%": np.full(len(TIME), -0.2, np.float32),
    "hum of 50 Hz": sine(50, 0.1),
    "hum of 60 Hz": sine(60, 0.05),
    "rumble": sine(17, 0.2) + sine(31, 0.1),
    "drifting offset": (0.3 * TIME / TIME[-1]).astype(np.float32),
}


@pytest.mark.parametrize("name", INAUDIBLE)
def test_a_recording_is_as_good_as_without_it(name: str) -> None:
    spoilt = VOICE + INAUDIBLE[name][: len(VOICE)]
    for samples in (VOICE, spoilt):
        assert {one.code for one in cautions(measure(samples), examine(samples), pace(samples), 16_000)} == set()
    wanted, found = figures_of(VOICE), figures_of(spoilt)
    for figure, value in wanted.items():
        # Hum that is 40 dB down is no louder than the room's noise, but it is there in the lowest bands.
        least = {"snr_db": 6.0, "silent_share": 0.25}.get(figure, 3.0 if figure.startswith("band_") else 0.5)
        assert found[figure] == pytest.approx(value, abs=least), figure


@pytest.mark.parametrize("name", INAUDIBLE)
def test_by_itself_it_is_silence(name: str) -> None:
    with pytest.raises(AudioError) as caught:
        decode(plain(INAUDIBLE[name][: 2 * SAMPLE_RATE] / 10, "WAV", "FLOAT"))
    assert caught.value.code == "silent"


def test_a_second_of_speech_in_a_minute_is_no_silence() -> None:
    minute = np.zeros(60 * SAMPLE_RATE, np.float32)
    minute[:SAMPLE_RATE] = 0.03 * VOICE[:SAMPLE_RATE] / np.abs(VOICE).max()
    sound = decode(plain(minute, "WAV", "FLOAT"))
    assert sound.quality.level_dbfs < -55.0
    assert sound.quality.active_dbfs == pytest.approx(measure(minute[:SAMPLE_RATE]).active_dbfs, abs=0.5)
    loud = minute * 10
    assert "too_quiet" not in {one.code for one in cautions(measure(loud), examine(loud), pace(loud), 16_000)}


def test_clipping_is_that_of_the_samples() -> None:
    clipped = np.clip(VOICE * 4 + 0.3, -1, 1)
    assert measure(clipped).clipped_share == pytest.approx(np.mean(np.abs(clipped) >= 0.999))

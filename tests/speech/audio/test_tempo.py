"""Syllables counted in sounds whose syllables are known."""

from __future__ import annotations

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE
from speech.audio.tempo import measure
from tests.recordings import babble


@pytest.mark.parametrize("rate", [3.0, 4.5, 6.0])
@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_syllables_are_counted(rate: float, noise: float) -> None:
    for seed in range(4):
        sound = babble(24, rate, seed)
        sound = sound + noise * np.random.default_rng(seed).standard_normal(len(sound)).astype(np.float32)
        tempo = measure(sound)
        assert abs(tempo.syllables - 24) <= 2
        assert tempo.syllables_per_second == pytest.approx(rate, rel=0.1)


@pytest.mark.parametrize("pause", [0.4, 1.5])
def test_pauses_do_not_count_as_speech(pause: float) -> None:
    whole, paused = measure(babble(16, 4.0)), measure(babble(16, 4.0, pause=pause))
    assert paused.speech_seconds == pytest.approx(whole.speech_seconds, abs=0.1)
    assert paused.pause_share == pytest.approx(pause / (pause + whole.speech_seconds), abs=0.03)
    assert whole.pause_share == 0.0


def test_the_level_does_not_matter() -> None:
    assert measure(babble(16, 4.0)) == measure(0.05 * babble(16, 4.0))


def test_noise_has_no_syllables_and_no_rate() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE).astype(np.float32)
    tempo = measure(noise)
    assert (tempo.syllables, tempo.syllables_per_second) == (0, None)


@pytest.mark.parametrize("length", [1, 50, 3200])
def test_any_length_is_measured(length: int) -> None:
    tempo = measure(np.full(length, 0.1, np.float32))
    assert tempo.syllables_per_second is None
    assert 0.0 <= tempo.pause_share <= 1.0


def test_silence_is_measured() -> None:
    assert measure(np.zeros(SAMPLE_RATE, np.float32)).syllables == 0

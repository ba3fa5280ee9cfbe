"""Noise and bandwidth of sounds that were made with known ones, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from speech.audio.decode import SAMPLE_RATE, measure
from speech.audio.quality import BANDS, Code, band_centres, cautions, examine
from speech.audio.tempo import measure as pace
from tests.recordings import babble


def with_noise(sound: np.ndarray, snr_db: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(len(sound))
    return (sound + np.std(sound) * 10 ** (-snr_db / 20) * noise).astype(np.float32)


def codes(samples: np.ndarray, source_rate: int = 44_100) -> set[Code]:
    return {one.code for one in cautions(measure(samples), examine(samples), pace(samples), source_rate)}


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0, 30.0])
def test_noise_is_estimated_within_four_decibels(snr_db: float) -> None:
    for seed in range(3):
        assert examine(with_noise(babble(20, 4.0, seed), snr_db, seed)).snr_db == pytest.approx(snr_db, abs=4.0)


@pytest.mark.parametrize("snr_db", [0.0, 5.0, 10.0])
def test_loud_noise_is_heard_without_a_pause(snr_db: float) -> None:
    for seed in range(3):
        sound = babble(20, 4.0, seed)[SAMPLE_RATE // 2 : -SAMPLE_RATE // 2]
        assert examine(with_noise(sound, snr_db, seed)).snr_db == pytest.approx(snr_db, abs=3.0)


def test_digital_silence_has_a_bound() -> None:
    sound = babble(12, 4.0)
    assert examine(np.where(np.abs(sound) > 0.001, sound, 0).astype(np.float32)).snr_db <= 60.0
    assert examine(np.zeros(SAMPLE_RATE, np.float32)).snr_db >= -10.0


def test_the_colour_does_not_depend_on_the_level() -> None:
    loud, faint = (examine(level * babble(12, 4.0)).colour_db for level in (1.0, 0.1))
    assert len(loud) == len(band_centres()) == BANDS
    np.testing.assert_allclose(loud, faint, atol=0.05)
    assert sum(loud) == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("length", [1, 319, 3200])
def test_any_length_is_examined(length: int) -> None:
    assert np.isfinite(examine(np.full(length, 0.1, np.float32)).colour_db).all()


def test_nothing_is_said_of_a_good_recording() -> None:
    assert codes(with_noise(babble(20, 4.0), 25.0)) == set()


def test_each_fault_is_said_and_no_other() -> None:
    good = with_noise(babble(20, 4.0), 25.0)
    assert codes(good * 0.05) == {"too_quiet"}
    assert codes(np.clip(good * 8, -1, 1)) == {"clipped"}
    assert codes(with_noise(good, 4.0)) == {"noisy"}
    assert codes(with_noise(babble(4, 4.0), 25.0)) == {"short"}
    assert codes(good, source_rate=8000) == {"telephone_band"}
    narrow = soxr.resample(soxr.resample(good, SAMPLE_RATE, 8000), 8000, SAMPLE_RATE)  # saved at 16 kHz afterwards
    assert codes(narrow) == {"telephone_band"}


def test_what_is_said_names_the_figure_and_the_remedy() -> None:
    faint = 0.05 * with_noise(babble(20, 4.0), 25.0)
    (caution,) = cautions(measure(faint), examine(faint), pace(faint), 44_100)
    assert f"{measure(faint).active_dbfs:.0f} dBFS" in caution.message
    assert "closer" in caution.message

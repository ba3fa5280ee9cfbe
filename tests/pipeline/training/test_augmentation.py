"""Augmentation: what it changes and what it must not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.augmentation import (
    Augmentation,
    band_limited,
    coloured_noise,
    compressed,
    masked,
    noisy,
    reverberated,
)

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def power(sound: np.ndarray) -> float:
    return float(np.mean(np.square(sound)))


def test_noise_lies_as_far_below_as_is_asked_for() -> None:
    clip = tone(440)
    changed = noisy(clip, 12.0, np.random.default_rng(0))
    assert 10 * np.log10(power(clip) / power(changed - clip)) == pytest.approx(12.0, abs=0.2)


def test_noise_has_power_one() -> None:
    for seed in range(8):
        assert power(coloured_noise(RATE, np.random.default_rng(seed))) == pytest.approx(1.0, abs=0.05)


def test_a_telephone_line_drops_what_it_does_not_carry() -> None:
    inside, low, high = (band_limited(tone(hertz), 300.0, 3400.0)[RATE // 4 :] for hertz in (1000, 60, 6500))
    assert power(inside) > 0.9 * power(tone(1000))
    assert max(power(low), power(high)) < 0.01 * power(inside)


def test_a_room_moves_no_onset() -> None:
    click = np.zeros(RATE, np.float32)
    click[5000] = 1.0
    heard = reverberated(click, np.random.default_rng(1))
    assert np.argmax(np.abs(heard)) == 5000
    assert not np.any(np.abs(heard[:4999]) > 1e-4)
    assert np.any(np.abs(heard[5100:6000]) > 1e-4)


def test_mp3_keeps_length_level_and_time() -> None:
    clip = np.concatenate([np.zeros(4000, np.float32), tone(500), np.zeros(4123, np.float32)])
    changed = compressed(clip, 32_000)
    assert changed.shape == clip.shape
    assert power(changed) == pytest.approx(power(clip), rel=0.1)
    loud = np.flatnonzero(np.abs(changed) > 0.1)
    assert abs(loud[0] - 4000) < 400  # 25 ms


def test_lost_moments_are_short() -> None:
    changed = masked(np.ones(RATE, np.float32), np.random.default_rng(3))
    assert 0 < np.sum(changed == 0) <= 3 * 0.06 * RATE


def test_a_seed_repeats_and_the_clip_stays() -> None:
    clip = tone(300)
    before = clip.copy()
    one, two, other = (Augmentation(noise=1.0)(clip, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert np.array_equal(clip, before)
    assert one.dtype == np.float32
    assert one.shape == clip.shape


@pytest.mark.parametrize("clip", [np.zeros(0, np.float32), np.zeros(800, np.float32), np.full(3, 0.5, np.float32)])
def test_empty_silent_and_tiny_clips_pass(clip: np.ndarray) -> None:
    for seed in range(12):
        changed = Augmentation(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)(clip, np.random.default_rng(seed))
        assert changed.shape == clip.shape
        assert np.isfinite(changed).all()

"""MFCC and the support vector machine on their statistics."""

from __future__ import annotations

import numpy as np
import pytest

from bench.mfcc import COEFFICIENTS, HOP, Clip, deltas, mfcc, statistics, trained
from speech.audio.decode import SAMPLE_RATE


def sound(hertz: float, level: float = 0.3) -> np.ndarray:
    """Noise and a tone, one second."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    return (level * (np.sin(2 * np.pi * hertz * time) + 0.01 * noise)).astype(np.float32)


def test_one_row_every_ten_milliseconds() -> None:
    assert mfcc(sound(300)).shape == (1 + SAMPLE_RATE // HOP, COEFFICIENTS)


def test_level_moves_the_first_coefficient_alone() -> None:
    quiet, loud = mfcc(sound(300, 0.1)).mean(0), mfcc(sound(300, 0.2)).mean(0)
    assert loud[0] - quiet[0] == pytest.approx(np.log(4) * np.sqrt(40), rel=1e-3)  # an orthonormal DCT of 40 bands
    assert np.allclose(loud[1:], quiet[1:], atol=1e-3)


def test_timbre_moves_the_others() -> None:
    assert np.abs(mfcc(sound(300)).mean(0) - mfcc(sound(3000)).mean(0))[1:].max() > 1


def test_deltas_are_slopes() -> None:
    frames = np.outer(np.arange(20.0), [1.0, -2.0])
    assert np.allclose(deltas(frames)[2:-2], [1.0, -2.0])


def clips(speakers: int, seed: int) -> list[Clip]:
    """Two classes that differ in how much a coefficient varies."""
    rng = np.random.default_rng(seed)
    return [
        Clip(label, f"s{seed}{speaker}", "", "", "toy", 1.0, rng.normal(0, width, (50, COEFFICIENTS)))
        for speaker in range(speakers)
        for label, width in (("none", 1.0), ("stutter", 1.5))
        for _ in range(4)
    ]


def test_the_machine_learns_what_statistics_hold() -> None:
    machine = trained(clips(6, 1))
    test = clips(3, 2)
    answers = machine.predict(np.stack([statistics(clip.mfcc) for clip in test]))
    assert np.mean(answers == [clip.label for clip in test]) > 0.9


def test_too_few_speakers_to_choose_on_others_are_refused() -> None:
    with pytest.raises(ValueError, match="3 training speakers"):
        trained(clips(3, 1))

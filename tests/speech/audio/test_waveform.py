"""The extremes of a wave, for drawing."""

from __future__ import annotations

import numpy as np
import pytest

from speech.audio.waveform import peaks


def test_each_stretch_gives_its_extremes() -> None:
    samples = np.array([0.0, 0.5, -0.25, 0.1, 0.1, -1.0], np.float32)
    assert peaks(samples, 3) == [[0.0, 0.5], [-0.25, 0.1], [-1.0, 0.1]]


@pytest.mark.parametrize("length", [401, 1000, 15_999])
def test_every_sample_is_in_one_stretch(length: int) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    found = peaks(samples, 400)
    assert len(found) == 400
    assert min(low for low, _ in found) == pytest.approx(samples.min(), abs=5e-4)
    assert max(high for _, high in found) == pytest.approx(samples.max(), abs=5e-4)
    for place in (0, length - 1):
        assert any(low - 5e-4 <= samples[place] <= high + 5e-4 for low, high in (found[0], found[-1]))


def test_they_are_rounded_as_they_are_written() -> None:
    assert peaks(np.full(10, 0.1234567, np.float32), 2) == [[0.123, 0.123], [0.123, 0.123]]


def test_fewer_samples_than_stretches() -> None:
    assert peaks(np.array([0.1, -0.1], np.float32), 400) == [[0.1, 0.1], [-0.1, -0.1]]


def test_none_are_wanted() -> None:
    assert peaks(np.ones(10, np.float32), 0) == []

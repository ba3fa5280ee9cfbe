"""The filter of audible sound is SciPy's, and no process that decodes waits for SciPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import cheby2, sosfilt, sosfilt_zi

from speech.audio.high_pass import SECTIONS, SETTLED, HighPass
from tests.long import sentence

NOISE = np.random.default_rng(0).standard_normal(50_021)
HUM = 0.3 * np.sin(2 * np.pi * 50 * np.arange(32_000) / 16_000)
SOUNDS = {"speech": sentence().astype(np.float64), "noise": NOISE, "an offset": 0.5 + 0.01 * NOISE, "hum": HUM}


def test_the_numbers_are_those_of_the_filter() -> None:
    made = cheby2(10, 50, 66, "highpass", fs=16_000, output="sos")
    np.testing.assert_allclose(SECTIONS, made, rtol=1e-9)
    np.testing.assert_allclose(SETTLED, sosfilt_zi(made), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("pieces", [[], [1], [127, 128, 129, 5_000], [16_000, 16_001]], ids=str)
def test_it_filters_as_scipy_does(name: str, pieces: list[int]) -> None:
    samples = SOUNDS[name]
    expected, _ = sosfilt(SECTIONS, samples, zi=SETTLED * samples[0])
    own = HighPass()
    found = np.concatenate([own.add(part) for part in np.split(samples, pieces)])
    np.testing.assert_allclose(found, expected, atol=1e-11)


@pytest.mark.parametrize("module", ["speech.audio.isolated", "speech.longform.child"])
def test_a_child_loads_no_scipy(module: str) -> None:
    program = (
        f"import sys, numpy, {module}\n"
        "from speech.audio.levels import measure\n"
        "measure(numpy.ones(16_000, numpy.float32))\n"
        "print([name for name in sys.modules if name.startswith('scipy')])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert said.stdout.strip() == "[]", said.stderr

"""Counting syllables, measured on a few spoken sentences."""

from __future__ import annotations

import numpy as np
import pytest

from bench.tempo import KINDS, crossings, made, rises
from speech.audio.tempo import measure


def test_vowels_are_counted_by_their_rises_and_by_a_bound() -> None:
    vowels = np.array([0.0, 0.9, 0.9, 0.1, 0.8, 0.0, 0.25, 0.0])
    assert rises(vowels) == 2
    assert crossings(vowels) == 2
    assert crossings(np.array([0.9, 0.25, 0.9])) == 1


@pytest.mark.system
def test_spoken_syllables_are_counted_within_bounds() -> None:
    clips = made(24, seed=3)
    assert {clip.kind for clip in clips} == set(KINDS)
    heard = [measure(clip.samples) for clip in clips]
    errors = [tempo.syllables / clip.syllables - 1 for tempo, clip in zip(heard, clips, strict=True)]
    assert np.mean(np.abs(errors)) < 0.15
    assert abs(np.mean(errors)) < 0.08
    shares = [tempo.speech_seconds / clip.seconds for tempo, clip in zip(heard, clips, strict=True)]
    assert np.allclose(shares, 1.0, atol=0.15)

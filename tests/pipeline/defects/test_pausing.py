"""Pauses that are made longer and shorter while training, so that they tell nothing."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.defects.pausing import Pausing, tightened
from pipeline.training.examples import CountedSpan, Example
from speech.audio.decode import SAMPLE_RATE
from tests.pipeline.defects.test_disfluency import words

NONE, BURR, STUTTER = range(3)
SHORTENED = (True, True, False)
RESTING = words(0.5, 0.5, 0.5, rest=0.4)


def lengths(label: int | None, share: float = 1.0) -> np.ndarray:
    """Seconds by which a clip became longer, in 60 draws."""
    example = Example("a", lambda: RESTING, 3.0, label, (CountedSpan(0.3, 0.7, (1,)),), (2,), (3, 4))
    change = Pausing(SHORTENED, share)
    made = [change(example, RESTING, np.random.default_rng(seed)) for seed in range(60)]
    for kept, samples in made:
        assert (kept.label, kept.counts, kept.letters) == (label, (2,), (3, 4))
        assert (kept.words == ()) == (len(samples) != len(RESTING))
    return np.array([len(samples) - len(RESTING) for _, samples in made]) / SAMPLE_RATE


@pytest.mark.parametrize("label", [NONE, BURR])
def test_pauses_become_longer_as_often_as_shorter(label: int) -> None:
    found = lengths(label)
    assert 15 < (found > 0).sum() < 45
    assert (found > 0).sum() + (found < 0).sum() == 60


def test_what_a_pause_may_be_is_not_shortened() -> None:
    found = lengths(STUTTER)
    assert (found >= 0).all()
    assert 15 < (found > 0).sum() < 45


def test_clips_without_a_label_and_the_other_share_stay() -> None:
    assert not lengths(None).any()
    assert 10 < (lengths(NONE, share=0.5) != 0).sum() < 50


def test_rests_are_shortened_and_words_stay_whole() -> None:
    short = tightened(RESTING, np.random.default_rng(0))
    assert len(short) < len(RESTING) - 0.5 * SAMPLE_RATE
    loud = (np.abs(RESTING) > 0.1).sum()
    assert (np.abs(short) > 0.1).sum() == pytest.approx(loud, rel=0.03)


def test_speech_without_rests_and_silence_stay_as_they_are() -> None:
    for samples in (words(2.0), np.zeros(SAMPLE_RATE, np.float32), np.zeros(10, np.float32)):
        assert len(tightened(samples, np.random.default_rng(0))) <= len(samples)
        assert np.isfinite(tightened(samples, np.random.default_rng(0))).all()

"""Pairs cut from one recording: what both share, and that the spans told are true."""

from __future__ import annotations

import numpy as np
import pytest

from bench.corpora.stutter_pairs import pair
from speech.audio.decode import SAMPLE_RATE
from tests.pipeline.defects.test_disfluency import SPEECH

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_copies_are_equally_long_and_differ(seed: int) -> None:
    made = pair(SPEECH, np.random.default_rng(seed))
    assert made is not None
    assert len(made.stuttered) == len(made.fluent) > len(SPEECH)
    assert not np.array_equal(made.stuttered, made.fluent)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fluent_copy_is_joined_as_often(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted at the only function that joins: two for a piece put in, one for a bare cut."""
    from bench.corpora import stutter_pairs
    from pipeline.defects.disfluency import insert

    counted = []

    def counting(samples: np.ndarray, at: int, piece: np.ndarray) -> np.ndarray:
        counted.append(2 if len(piece) else 1)
        return insert(samples, at, piece)

    monkeypatch.setattr(stutter_pairs, "insert", counting)
    made = pair(SPEECH, np.random.default_rng(seed))
    assert made is not None
    assert sum(counted) == made.joins


def test_spans_are_what_fluent_speech_lacks() -> None:
    """Without its spans the stuttered copy is as long as the recording with the pauses that both copies have."""
    from pipeline.defects.disfluency import paused

    for seed in SEEDS:
        made = pair(SPEECH, np.random.default_rng(seed))
        common = paused(SPEECH, np.random.default_rng(seed))
        assert made is not None
        lacking = sum(end - start for start, end in made.spans)
        assert len(made.stuttered) / SAMPLE_RATE - lacking == pytest.approx(len(common) / SAMPLE_RATE, abs=1e-3)
        assert all(0 <= start < end <= len(made.stuttered) / SAMPLE_RATE for start, end in made.spans)


def test_the_same_seed_gives_the_same_pair() -> None:
    one, other = (pair(SPEECH, np.random.default_rng(5)) for _ in range(2))
    assert one is not None
    assert other is not None
    assert np.array_equal(one.stuttered, other.stuttered)
    assert np.array_equal(one.fluent, other.fluent)


def test_silence_gives_no_pair() -> None:
    assert pair(np.zeros(2 * SAMPLE_RATE, np.float32), np.random.default_rng(0)) is None

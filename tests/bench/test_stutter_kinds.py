"""Kinds of stutter cut into recordings: what the archive of `bench.stutter_kinds` says of a clip is true of it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.stutter_kinds import KINDS, cut
from speech.audio.decode import SAMPLE_RATE
from tests.pipeline.defects.test_disfluency import SPEECH


def test_fluent_clips_stay_fluent() -> None:
    made = cut(SPEECH, (), np.random.default_rng(0))
    assert made is not None
    assert made[1] == []
    assert len(made[0]) > len(SPEECH)


@pytest.mark.parametrize("kinds", [(kind,) for kind in KINDS] + [("block", "repetition")])
def test_only_the_kinds_that_were_asked_for_are_cut_in(kinds: tuple[str, ...]) -> None:
    for seed in range(5):
        made = cut(SPEECH, kinds, np.random.default_rng(seed))
        assert made is not None
        samples, places = made
        assert {kind for kind, _, _ in places} <= set(kinds)
        assert places
        assert all(0 <= start < end <= len(samples) / SAMPLE_RATE for _, start, end in places)


def test_silence_has_no_place_for_them() -> None:
    assert cut(np.zeros(SAMPLE_RATE, np.float32), ("block",), np.random.default_rng(0)) is None

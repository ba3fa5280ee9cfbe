"""Stutter imitated on fluent speech."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.defects.disfluency import disfluent, gap, onsets, paused, stuttered
from pipeline.defects.imitation import Imitation
from pipeline.training.examples import CountedSpan, Example
from speech.audio.decode import SAMPLE_RATE


def words(*seconds: float, rest: float = 0.1) -> np.ndarray:
    """Tones like words, each of the given length, with rests of faint noise between them."""
    rng = np.random.default_rng(0)
    pieces = [rng.standard_normal(int(0.3 * SAMPLE_RATE)) * 0.001]
    for number, length in enumerate(seconds):
        time = np.arange(int(length * SAMPLE_RATE)) / SAMPLE_RATE
        pieces += [
            0.3 * np.sin(2 * np.pi * (200 + 90 * number) * time),
            rng.standard_normal(int(rest * 16_000)) * 0.001,
        ]
    return np.concatenate(pieces).astype(np.float32)


SPEECH = words(0.4, 0.5, 0.3, 0.6)


def test_onsets_are_where_words_begin() -> None:
    begins = np.array([0.3, 0.8, 1.4, 1.8])
    found = onsets(SPEECH) / SAMPLE_RATE
    assert all(np.abs(found - begin).min() < 0.08 for begin in begins)
    assert all(np.abs(begins - place).min() < 0.13 for place in found)


def test_a_stutter_lengthens_and_repeats_with_a_seed() -> None:
    for seed in range(20):
        changed = stuttered(SPEECH, np.random.default_rng(seed))
        assert changed is not None
        assert changed.dtype == np.float32
        assert 0.1 * SAMPLE_RATE < len(changed) - len(SPEECH) < 6 * SAMPLE_RATE
        assert np.isfinite(changed).all()
        assert np.abs(changed).max() < 1.5 * np.abs(SPEECH).max()
    again = [stuttered(SPEECH, np.random.default_rng(3)) for _ in range(2)]
    assert again[0] is not None
    assert np.array_equal(again[0], again[1])  # type: ignore[arg-type]


def test_a_pause_comes_where_the_voice_rests() -> None:
    """Every word stays whole: as much loud sound as before."""
    for seed in range(10):
        changed = paused(SPEECH, np.random.default_rng(seed))
        assert len(changed) > len(SPEECH)
        assert np.sum(np.abs(changed) > 0.1) == pytest.approx(np.sum(np.abs(SPEECH) > 0.1), rel=0.02)


@pytest.mark.parametrize("clip", [np.zeros(0), np.zeros(3), np.zeros(16_000), np.ones(4000)])
def test_where_nothing_sets_in_nothing_is_imitated(clip: np.ndarray) -> None:
    clip = clip.astype(np.float32)
    assert stuttered(clip, np.random.default_rng(0)) is None
    assert np.isfinite(paused(clip, np.random.default_rng(0))).all()


def test_a_gap_is_as_long_as_asked_for() -> None:
    assert len(gap(np.ones(960, dtype=np.float32), 5000, np.random.default_rng(0))) == 5000


def test_only_clips_without_a_defect_become_one() -> None:
    imitation = Imitation(reference=0, classes=(2,), share=1.0)
    example = Example("a", lambda: SPEECH, 2.4, 0, (CountedSpan(0.3, 0.7, (1,)),), (1,), (3, 4))
    made, samples = imitation(example, SPEECH, np.random.default_rng(0))
    assert (made.label, made.words, made.counts, made.letters) == (2, (), None, ())
    assert len(samples) > len(SPEECH)
    for label in (1, None):
        kept, _ = imitation(Example("b", lambda: SPEECH, 2.4, label), SPEECH, np.random.default_rng(0))
        assert kept.label == label


def test_the_share_is_kept_to() -> None:
    imitation = Imitation(reference=0, classes=(1,), share=0.3)
    rng = np.random.default_rng(1)
    example = Example("a", lambda: SPEECH, 2.4, 0)
    labels = [imitation(example, SPEECH, rng)[0].label for _ in range(200)]
    assert 0.2 < np.mean(labels) < 0.4


@pytest.mark.parametrize(
    ("cut", "kind"),
    [("syllable", "repetition"), ("held", "prolongation"), ("block", "block"), ("filler", "interjection")],
)
def test_each_cut_is_of_its_kind_and_told_with_its_place(cut: str, kind: str) -> None:
    done = disfluent(SPEECH, np.random.default_rng(3), [cut])
    assert done is not None
    samples, made = done
    assert {one.kind for one in made} == {kind}
    assert len(samples) == len(SPEECH) + sum(one.length for one in made)
    assert [one.start for one in made] == sorted(one.start for one in made)


def test_a_filler_is_a_sound_of_the_speaker_between_rests() -> None:
    done = disfluent(SPEECH, np.random.default_rng(0), ["filler"])
    assert done is not None
    samples, made = done
    first = made[0]
    inside = np.abs(samples[first.start : first.start + first.length])
    edge = SAMPLE_RATE // 25
    assert inside[:edge].max() < 0.2 * inside.max() > inside[-edge:].max()

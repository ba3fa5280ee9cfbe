"""Clips that are joined and cut while training, so that length tells nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.defects.joining import LEAST_SECONDS, Joining
from pipeline.training.examples import CountedSpan, Example
from speech.audio.decode import SAMPLE_RATE

NONE, BURR, STUTTER = range(3)
MARKED = (False, True, False)
LONGEST = 6.0


def speech(seed: int, seconds: float) -> np.ndarray:
    """Bursts of a voice with a rest of 100 ms in every half second, over quiet noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    voice = np.sin(2 * np.pi * 150 * time) * (time % 0.5 < 0.4)
    return (0.3 * voice + 0.001 * rng.standard_normal(len(time))).astype(np.float32)


def clip(name: str, label: int | None, speaker: str = "anna", seconds: float = 2.0) -> Example:
    sound = speech(len(name), seconds)
    word = CountedSpan(0.1, 0.4, (1,), (5,))
    return Example(name, lambda: sound, seconds, label, (word,), (1,), (5,), speaker=speaker)


def joining(examples: Sequence[Example], share: float = 1.0) -> Joining:
    return Joining.of(examples, NONE, MARKED, LONGEST, share)


def made(change: Joining, example: Example, times: int = 60) -> list[tuple[Example, np.ndarray]]:
    return [change(example, example.load(), np.random.default_rng(seed)) for seed in range(times)]


@pytest.mark.parametrize("label", [NONE, BURR, STUTTER])
def test_every_class_becomes_longer_and_keeps_its_label(label: int) -> None:
    examples = [clip("a", label), clip("bb", label), clip("ccc", label)]
    results = made(joining(examples), examples[0])
    seconds = [len(samples) / SAMPLE_RATE for _, samples in results]
    assert max(seconds) > 4.0
    assert max(seconds) <= LONGEST + 0.01
    assert {example.label for example, _ in results} == {label}


def test_lengths_reach_up_to_the_longest_evenly() -> None:
    """Of fluent clips, which may be cut: no length below the longest is left to a class of longer clips alone."""
    examples = [clip(f"{number:03d}", NONE) for number in range(6)]
    seconds = np.array([len(samples) / SAMPLE_RATE for _, samples in made(joining(examples), examples[0], 300)])
    joined = np.histogram(seconds, bins=[2.9, 3.9, 4.9, 6.01])[0]
    assert joined.min() > 8


def test_who_is_joined_is_the_same_speaker() -> None:
    own, other = clip("a", NONE), clip("bb", NONE, "boris")
    assert all(len(samples) <= len(own.load()) for _, samples in made(joining([own, other]), own))


def test_fluent_speech_follows_a_stutter_but_no_burr() -> None:
    fluent, stutter, burr = clip("a", NONE), clip("bb", STUTTER), clip("ccc", BURR)
    change = joining([fluent, stutter, burr])
    assert max(len(samples) for _, samples in made(change, stutter)) > len(stutter.load())
    assert all(len(samples) == len(burr.load()) for _, samples in made(change, burr))
    assert all(len(samples) <= len(fluent.load()) for _, samples in made(change, fluent))


def test_only_fluent_clips_are_cut_and_at_rests() -> None:
    fluent, stutter = clip("a", NONE, "only"), clip("bb", STUTTER, "lonely")
    change = joining([fluent, stutter], share=0.8)
    lengths = {len(samples) for _, samples in made(change, fluent)}
    shorter = [length for length in lengths if length < len(fluent.load())]
    assert shorter
    assert all(length >= LEAST_SECONDS * SAMPLE_RATE for length in shorter)
    assert all(length / SAMPLE_RATE % 0.5 >= 0.38 for length in shorter)
    assert {len(samples) for _, samples in made(change, stutter)} == {len(stutter.load())}


def test_what_is_known_of_both_clips_is_known_of_the_whole() -> None:
    examples = [clip("a", BURR, seconds=1.5), clip("bb", BURR, seconds=1.5)]
    whole = next(
        (example, samples)
        for example, samples in made(joining(examples), examples[0])
        if 3.0 < len(samples) / SAMPLE_RATE < 4.5  # two, not three
    )
    example, samples = whole
    assert (example.counts, example.letters) == ((2,), (5, 5))
    first, second = example.words
    assert (first.start, first.end) == (0.1, 0.4)
    at = slice(round(second.start * SAMPLE_RATE), round(second.end * SAMPLE_RATE))
    assert np.abs(samples[at]).max() > 0.2
    assert second.start > 1.6


def test_a_part_that_follows_leaves_the_counts_unknown() -> None:
    examples = [clip("a", NONE), clip("bb", NONE)]
    for example, samples in made(joining(examples), examples[0]):
        if 2.1 * SAMPLE_RATE < len(samples) < 4.0 * SAMPLE_RATE:
            assert (example.counts, example.letters, len(example.words)) == (None, (), 1)


def test_clips_without_a_label_or_with_several_stay() -> None:
    bare = clip("a", None)
    several = Example("b", bare.load, 2.0, BURR, also=(STUTTER,), speaker="anna")
    change = joining([clip("ccc", NONE), several])
    for example in (bare, several):
        assert all(samples is not None and kept is example for kept, samples in made(change, example))


def test_the_same_draw_makes_the_same_clip() -> None:
    examples = [clip("a", NONE), clip("bb", NONE)]
    first, second = (made(joining(examples), examples[0], 8) for _ in range(2))
    assert all(np.array_equal(one[1], other[1]) for one, other in zip(first, second, strict=True))

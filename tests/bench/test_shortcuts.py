"""The check for shortcuts finds those that were planted and none where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from bench.mfcc import COEFFICIENTS, Clip
from bench.shortcuts import (
    SHORTCUTS,
    by_duration,
    by_speaker,
    by_text,
    embeddings,
    guessing,
    judge,
    macro_f1,
    speaker_found,
)

CLASSES = ("none", "burr", "fricative_g", "stutter")
WORDS = ("город", "река", "гора", "рыба", "книга", "берег", "трава", "гриб")


def corpus(speakers: int, split: str, seed: int) -> list[Clip]:
    """Every speaker speaks three sentences in every class, with timbre of the speaker's own and nothing else."""
    rng = np.random.default_rng(seed)
    clips = []
    for speaker in range(speakers):
        timbre = rng.normal(0, 3, COEFFICIENTS)
        texts = [" ".join(rng.choice(WORDS, 4)) for _ in range(3)]
        for label in CLASSES:
            for text in texts:
                frames = timbre + rng.normal(0, 1, (60, COEFFICIENTS))
                clips.append(Clip(label, f"{split}{speaker}", text, split, "toy", float(rng.uniform(3, 6)), frames))
    return clips


@pytest.fixture(scope="module")
def clean() -> tuple[list[Clip], list[Clip]]:
    return corpus(16, "train", 1), corpus(12, "test", 2)


@pytest.mark.parametrize("name", SHORTCUTS)
def test_a_clean_corpus_has_no_shortcut(clean: tuple[list[Clip], list[Clip]], name: str) -> None:
    found = judge(SHORTCUTS[name], *clean, seeds=range(2))
    assert found.near_chance
    assert found.score < 0.35


def test_a_word_that_only_one_class_says_is_found(clean: tuple[list[Clip], list[Clip]]) -> None:
    leaky = [[replace(c, text=c.text + (" ой" if c.label == "burr" else "")) for c in part] for part in clean]
    found = judge(by_text, *leaky, seeds=[0])
    assert not found.near_chance
    assert found.p < 0.01


def test_longer_clips_of_one_class_are_found(clean: tuple[list[Clip], list[Clip]]) -> None:
    leaky = [[replace(c, seconds=c.seconds + 1.5 * (c.label == "stutter")) for c in part] for part in clean]
    assert not judge(by_duration, *leaky, seeds=range(2)).near_chance


def test_voices_that_speak_one_class_are_found(clean: tuple[list[Clip], list[Clip]]) -> None:
    """Each speaker has one class, and the timbre goes with it: the classes are told by the voice alone."""
    leaky = []
    for part in clean:
        speakers = sorted({clip.speaker for clip in part})
        of_speaker = {name: index % 4 for index, name in enumerate(speakers)}
        leaky.append([
            replace(clip, label=CLASSES[of_speaker[clip.speaker]], mfcc=clip.mfcc + 6 * of_speaker[clip.speaker])
            for clip in part
        ])  # fmt: skip
    assert not judge(by_speaker, *leaky, seeds=range(2)).near_chance


def test_the_defect_of_a_clip_is_not_in_its_speakers_embedding(clean: tuple[list[Clip], list[Clip]]) -> None:
    """What every clip of a class has in common, whoever speaks, is the class and not the speaker."""
    heard = [[replace(c, mfcc=c.mfcc + 5 * CLASSES.index(c.label)) for c in part] for part in clean]
    assert judge(by_speaker, *heard, seeds=range(2)).near_chance


def test_embeddings_leave_out_the_clip_itself(clean: tuple[list[Clip], list[Clip]]) -> None:
    clips = list(clean[0][:12])
    before = embeddings(clips, np.random.default_rng(0))
    clips[0] = replace(clips[0], mfcc=clips[0].mfcc + np.arange(COEFFICIENTS) * 100.0)
    after = embeddings(clips, np.random.default_rng(0))
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_a_speakers_only_clip_has_no_embedding(clean: tuple[list[Clip], list[Clip]]) -> None:
    assert not embeddings(clean[0][:1], np.random.default_rng(0)).any()


def test_embeddings_tell_speakers_apart(clean: tuple[list[Clip], list[Clip]]) -> None:
    assert speaker_found(clean[0]) > 0.9
    alike = [replace(clip, mfcc=clip.mfcc - clip.mfcc.mean(0)) for clip in clean[0]]
    assert speaker_found(alike) < 0.5


def test_guessing_is_near_a_quarter_on_four_equal_classes(clean: tuple[list[Clip], list[Clip]]) -> None:
    mean, low, high = guessing(clean[1], CLASSES)
    assert low < mean < high
    assert mean == pytest.approx(0.25, abs=0.02)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, answers = rng.choice(("none", "stutter"), 50), rng.choice(CLASSES, 50)
    theirs = f1_score(truth, answers, labels=["none", "stutter"], average="macro")
    assert macro_f1(truth, answers) == pytest.approx(theirs)

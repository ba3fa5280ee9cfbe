"""Scales of sounds are learned from clips whose text is known, and are told by voices that were left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.defects.corpus import Corpus
from pipeline.defects.sound_scales import FEWEST_SOUNDS, sound_scales
from speech.defects.diagnose import Diagnosis
from speech.text.language import load_language
from tests import clip_sets
from tests.bundles import CLASSES, tiny_spec
from tests.speech.text.test_alignment import FRAME, said

RUSSIAN = load_language("ru")
SPEC = replace(tiny_spec(), alphabet=RUSSIAN.alphabet)
LETTERS = {"burr": ("р",), "fricative_g": ("г",), "none": (), "stutter": ()}
TEXT = "гора, гид, ворон, рак"
AT = {number * 4 + 2: letter for number, letter in enumerate("горагидворонрак")}
FRAMES = 66


def corpus(folder: Path, clips: int, text: str | None = TEXT) -> Corpus:
    hums = clip_sets.hums(folder, {"train": 4, "validation": clips, "test": 4}, CLASSES)
    records = tuple(replace(record, text=text) for record in hums.records)
    return Corpus(replace(hums, records=records), {}, ("р", "г"), {})


def answers(corpus: Corpus, heard: float) -> list[Diagnosis]:
    """Diagnoses in whose frames a burr is heard by so much where р is said, and noise everywhere."""
    rng = np.random.default_rng(0)
    found = []
    for clip in corpus.judged(corpus.clips.of_split("validation")):
        scores = rng.normal(-1.0, 0.5, (FRAMES, len(CLASSES)))
        if clip.label == "burr":
            for frame, letter in AT.items():
                scores[frame, CLASSES.index("burr")] += heard * (letter == "р")
        found.append(
            Diagnosis(
                CLASSES, (0.25,) * 4, (0.0,) * 4, {}, 1.2, {}, spelling=said(AT, FRAMES, RUSSIAN), frame_seconds=FRAME,
                frame_scores=scores,
            )
        )  # fmt: skip
    return found


def test_what_is_heard_in_the_letters_becomes_a_probability(tmp_path: Path) -> None:
    known = corpus(tmp_path, 48)
    clips = known.judged(known.clips.of_split("validation"))
    scales, told = sound_scales(known, clips, answers(known, 4.0), LETTERS, SPEC)
    assert set(scales) == {"burr", "fricative_g"}
    assert told["burr"]["auc"] > 0.95
    assert told["burr"]["sounds"] == 48 * 3
    assert told["burr"]["wrong"] == 12 * 3
    assert scales["burr"].apply(np.array([[3.0, 4.0], [3.0, -1.0]])) == pytest.approx([1.0, 0.0], abs=0.25)
    assert abs(told["fricative_g"]["auc"] - 0.5) < 0.3  # nothing speaks for it


def test_where_nothing_is_heard_it_says_so(tmp_path: Path) -> None:
    known = corpus(tmp_path, 48)
    clips = known.judged(known.clips.of_split("validation"))
    _, told = sound_scales(known, clips, answers(known, 0.0), LETTERS, SPEC)
    assert 0.25 < told["burr"]["auc"] < 0.75


@pytest.mark.parametrize("text", [None, "рог weiß", "р" * 80])
def test_clips_without_a_text_that_fits_teach_nothing(tmp_path: Path, text: str | None) -> None:
    known = corpus(tmp_path, 48, text)
    clips = known.judged(known.clips.of_split("validation"))
    scales, told = sound_scales(known, clips, answers(known, 4.0), LETTERS, SPEC)
    assert scales == {}
    assert told["burr"]["note"].startswith("not scored: 0 with the defect")


def test_too_few_sounds_fit_nothing(tmp_path: Path) -> None:
    known = corpus(tmp_path, 8)
    clips = known.judged(known.clips.of_split("validation"))
    scales, told = sound_scales(known, clips, answers(known, 4.0), LETTERS, SPEC)
    assert scales == {}
    assert str(FEWEST_SOUNDS) in told["burr"]["note"]


def test_a_model_that_does_not_spell_scores_nothing(tmp_path: Path) -> None:
    known = corpus(tmp_path, 48)
    clips = known.judged(known.clips.of_split("validation"))
    assert sound_scales(known, clips, answers(known, 4.0), LETTERS, replace(SPEC, alphabet="")) == ({}, {})

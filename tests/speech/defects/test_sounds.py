"""A score a sound: a letter said as it is written scores high, one that is another or has the defect low."""

from __future__ import annotations

import numpy as np
import pytest

from speech.defects.sounds import SoundScale, score_sounds, span_of
from speech.text.alignment import align
from speech.text.language import load_language
from tests.speech.text.test_alignment import FRAME, said

RUSSIAN = load_language("ru")
CLASSES = ("none", "burr", "fricative_g")
LETTERS = {"burr": ("р",), "fricative_g": ("г",)}
SCALES = {name: SoundScale((-0.5, 1.0), -1.0) for name in LETTERS}
AT = {4: "г", 8: "о", 12: "р", 16: "о", 20: "д"}


def scored(spelling: np.ndarray, frames: np.ndarray, scales: dict[str, SoundScale] = SCALES) -> dict[str, float]:
    aligned = align("город", spelling, FRAME, RUSSIAN)
    sounds = score_sounds(aligned, spelling, frames, FRAME, CLASSES, LETTERS, scales)
    return {sound.letter: sound.score for sound in sounds}


def test_what_the_frames_hear_lowers_the_score_of_its_letter_alone() -> None:
    spelling, frames = said(AT, 26, RUSSIAN), np.full((26, 3), -4.0)
    well = scored(spelling, frames)
    frames[12:14, 1] = 5.0  # a burr, where р is
    badly = scored(spelling, frames)
    assert set(well) == {"р", "г"}
    assert min(well.values()) > 0.9
    assert badly["р"] < 0.5
    assert badly["г"] == well["г"]


def test_another_letter_in_its_place_lowers_the_score() -> None:
    frames = np.full((26, 3), -1.0)
    well = scored(said(AT, 26, RUSSIAN), frames)
    other = scored(said(AT | {12: "л"}, 26, RUSSIAN), frames)
    assert other["р"] < well["р"] - 0.2


def test_evidence_beyond_the_letter_is_none_of_its_own() -> None:
    spelling, frames = said(AT, 26, RUSSIAN), np.full((26, 3), -4.0)
    well = scored(spelling, frames)
    frames[22:, 1] = 9.0
    assert scored(spelling, frames) == well


def test_a_class_without_a_scale_is_not_scored() -> None:
    assert set(scored(said(AT, 26, RUSSIAN), np.zeros((26, 3)), {"burr": SCALES["burr"]})) == {"р"}


def test_two_defects_of_one_letter_are_told_apart() -> None:
    classes, letters = ("none", "burr", "lambda"), {"burr": ("р",), "lambda": ("р",)}
    spelling, frames = said(AT, 26, RUSSIAN), np.full((26, 3), -4.0)
    frames[12:14, 2] = 6.0
    aligned = align("город", spelling, FRAME, RUSSIAN)
    scales = {"burr": SCALES["burr"], "lambda": SCALES["burr"]}
    (sound,) = score_sounds(aligned, spelling, frames, FRAME, classes, letters, scales)
    assert sound.defects["lambda"] > 0.5 > sound.defects["burr"]
    assert sound.score == pytest.approx((1 - sound.defects["lambda"]) * (1 - sound.defects["burr"]), abs=1e-3)


def test_a_letter_lasts_until_the_next_but_not_into_a_pause() -> None:
    letters = align("город", said(AT | {20: "о", 24: "д"}, 60, RUSSIAN), FRAME, RUSSIAN).letters
    spans = [span_of(letters, index, 60, FRAME) for index in range(len(letters))]
    assert all(first <= letter.frame < last for letter, (first, last) in zip(letters, spans, strict=True))
    assert all(last <= following.frame for (_, last), following in zip(spans, letters[1:], strict=False))
    assert spans[-1][1] < 40


@pytest.mark.parametrize("weights", [(1.0,), (1.0, float("nan")), (1.0, 2.0, 3.0)])
def test_a_scale_that_is_none_is_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scale of sounds"):
        SoundScale(weights, 0.0)

"""Logits to probabilities, probabilities to words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from speech.defects.calibration import IDENTITY, Calibration, Verdict

CLASSES = ("none", "burr", "fricative_g", "stutter")
HEARD = {"р": 3.0, "г": 2.0}
LETTERS = {"burr": ("р",), "fricative_g": ("г",)}
LOGITS = np.array([[2.0, 1.0, 0.0, -1.0], [-300.0, 0.0, 900.0, 5.0]])


def words(calibration: Calibration, *probabilities: float, markers: dict[str, float] | None = None) -> list[str]:
    return list(calibration.verdicts(CLASSES, probabilities, markers or HEARD).values())


def test_by_default_it_is_the_softmax() -> None:
    expected = np.exp(LOGITS[0]) / np.exp(LOGITS[0]).sum()
    np.testing.assert_allclose(IDENTITY.apply(LOGITS)[0], expected)
    np.testing.assert_allclose(IDENTITY.apply(LOGITS)[1], [0, 0, 1, 0], atol=1e-12)


def test_temperature_and_bias_do_what_they_say() -> None:
    given = Calibration(temperature=2.0, bias=(0.5, 0.0, 0.0, -0.5))
    powers = np.exp(LOGITS[0] / 2.0 + [0.5, 0.0, 0.0, -0.5])
    np.testing.assert_allclose(given.apply(LOGITS[0]), powers / powers.sum())
    assert given.apply(LOGITS).shape == LOGITS.shape
    np.testing.assert_allclose(given.apply(LOGITS).sum(-1), 1.0)


def test_it_is_read_back_as_it_was_written() -> None:
    given = Calibration(1.5, (0.1, 0.2, 0.3, 0.4), 0.7, 0.5, LETTERS, {"burr": 0.02})
    assert Calibration.from_dict(json.loads(json.dumps(given.as_dict()))) == given


@pytest.mark.parametrize("values", [{"temperature": 0.0}, {"temperature": float("nan")}, {"bias": (float("inf"),)}])
def test_what_cannot_calibrate_is_refused(values: dict) -> None:
    with pytest.raises(ValueError, match=r"finite|positive"):
        Calibration(**values)


def test_a_bias_for_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="4 classes, but a calibration for 2"):
        Calibration(bias=(0.0, 1.0)).apply(LOGITS)


def test_one_probable_enough_is_yes_and_the_others_no() -> None:
    assert words(Calibration(unsure_below=0.7), 0.1, 0.8, 0.05, 0.05) == ["yes", "no", "no"]
    assert words(Calibration(unsure_below=0.7), 0.8, 0.1, 0.05, 0.05) == ["no", "no", "no"]
    assert words(IDENTITY, 0.24, 0.25, 0.26, 0.25) == ["no", "yes", "no"]


def test_where_none_is_probable_enough_those_that_are_so_together_are_unsure() -> None:
    given = Calibration(unsure_below=0.7)
    assert words(given, 0.5, 0.45, 0.03, 0.02) == ["unsure", "no", "no"]
    assert words(given, 0.02, 0.5, 0.03, 0.45) == ["unsure", "no", "unsure"]
    assert words(given, 0.25, 0.25, 0.25, 0.25) == ["unsure", "unsure", "no"]
    assert words(Calibration(unsure_below=1.0), 0.4, 0.3, 0.2, 0.1) == ["unsure", "unsure", "unsure"]


def test_a_defect_whose_letters_are_not_heard_cannot_be_judged() -> None:
    given = Calibration(fewest_letters=0.5, letters=LETTERS)
    assert words(given, 0.0, 1.0, 0.0, 0.0, markers={"р": 0.4, "г": 0.5}) == ["not_assessable", "no", "no"]
    assert words(given, 1.0, 0.0, 0.0, 0.0, markers={"р": 0.5, "г": 0.1}) == ["no", "not_assessable", "no"]


def test_letters_of_one_class_are_counted_together() -> None:
    given = Calibration(fewest_letters=0.5, letters={"burr": ("р", "г")})
    assert words(given, 0.0, 1.0, 0.0, 0.0, markers={"р": 0.3, "г": 0.3})[0] is Verdict.yes

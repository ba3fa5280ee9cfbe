"""Several defects at once: each logit to its own probability, each probability to its own word."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from speech.defects.calibration import IDENTITY, Calibration
from speech.defects.diagnose import Diagnosis, diagnose
from speech.defects.localisation import HEARD_FROM, find_places
from speech.defects.multilabel import MultilabelCalibration, Platt, present, uncalibrated
from tests.bundles import CLASSES, tiny_model, tiny_multilabel_model, tiny_spec
from tests.recordings import hum

HEARD = {"р": 3.0, "г": 2.0}
LOGITS = np.array([[5.0, 1.0, -2.0, 0.5], [0.0, -900.0, 900.0, 0.0]])


def sigmoid(value: float) -> float:
    return 1 / (1 + float(np.exp(-value)))


def test_plain_probabilities_are_sigmoids_and_none_is_that_all_are_absent() -> None:
    probabilities = MultilabelCalibration(CLASSES).apply(LOGITS)
    burr, g, stutter = sigmoid(1.0), sigmoid(-2.0), sigmoid(0.5)
    np.testing.assert_allclose(probabilities[0], [(1 - burr) * (1 - g) * (1 - stutter), burr, g, stutter])
    np.testing.assert_allclose(probabilities[1], [0.0, 0.0, 1.0, 0.5])
    other = LOGITS[0] + [7.0, 0.0, 0.0, 0.0]
    np.testing.assert_array_equal(MultilabelCalibration(CLASSES).apply(other), probabilities[0])  # none's logit is mute


def test_each_defect_has_its_own_temperature_and_bias() -> None:
    given = MultilabelCalibration(CLASSES, {"burr": Platt(2.0, 0.5), "stutter": Platt(0.5, -1.0)})
    probabilities = given.apply(LOGITS)
    assert probabilities.shape == LOGITS.shape
    assert probabilities[0, 1:].tolist() == pytest.approx([sigmoid(1.0), sigmoid(-2.0), sigmoid(0.0)])


def test_none_may_stand_anywhere_but_must_be_there() -> None:
    logits = np.array([1.0, 9.0, -1.0])
    probabilities = MultilabelCalibration(("burr", "none", "stutter")).apply(logits)
    assert probabilities[1] == pytest.approx((1 - sigmoid(1.0)) * (1 - sigmoid(-1.0)))
    with pytest.raises(ValueError, match="must hold none"):
        MultilabelCalibration(("burr", "stutter"))
    with pytest.raises(ValueError, match="3 classes, but a calibration for 4"):
        MultilabelCalibration(CLASSES).apply(logits)


@pytest.mark.parametrize("values", [{"temperature": 0.0}, {"temperature": float("nan")}, {"bias": float("inf")}])
def test_what_cannot_calibrate_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"finite|positive"):
        Platt(**values)


def test_every_defect_is_judged_for_itself() -> None:
    given = MultilabelCalibration(CLASSES, {"burr": Platt(yes_from=0.8), "stutter": Platt(no_from=0.9)})

    def words(*probabilities: float) -> list[str]:
        return list(given.verdicts(CLASSES, (0.0, *probabilities), HEARD).values())

    assert words(0.8, 0.5, 0.05) == ["yes", "yes", "no"]
    assert words(0.79, 0.49, 0.11) == ["unsure", "no", "unsure"]
    assert words(0.1, 0.1, 0.6) == ["no", "no", "yes"]


def test_a_defect_whose_letters_are_not_heard_cannot_be_judged() -> None:
    given = MultilabelCalibration(CLASSES, fewest_letters=0.5, letters={"burr": ("р",), "fricative_g": ("г",)})
    words = given.verdicts(CLASSES, (0.1, 0.9, 0.9, 0.9), {"р": 0.4, "г": 0.5})
    assert words == {"burr": "not_assessable", "fricative_g": "yes", "stutter": "yes"}


def test_it_is_read_back_as_it_was_written() -> None:
    defects = {name: Platt(1.5, -0.1, 0.7, 0.9) for name in CLASSES[1:]}
    given = MultilabelCalibration(CLASSES, defects, 0.5, {"burr": ("р",)}, {"burr": 0.02})
    assert MultilabelCalibration.from_dict(json.loads(json.dumps(given.as_dict())), CLASSES) == given
    whole = MultilabelCalibration(CLASSES).as_dict()["defects"]
    assert whole == {name: asdict(Platt()) for name in CLASSES[1:]}


def test_those_more_probable_than_not_are_present_or_else_none() -> None:
    assert present(CLASSES, (0.9, 0.7, 0.2, 0.5)) == ("burr", "stutter")
    assert present(CLASSES, (0.2, 0.4, 0.4, 0.4)) == ("none",)


def test_without_a_calibration_the_model_says_which_one() -> None:
    assert uncalibrated(tiny_spec()) is IDENTITY
    assert uncalibrated(tiny_multilabel_model().spec) == MultilabelCalibration(CLASSES)


def with_bias(*values: float) -> list[Diagnosis]:
    """A diagnosis of a hum by a model whose defect logits are all but these."""
    model = tiny_multilabel_model()
    with torch.no_grad():
        for head in (model.marker_words, model.other_words):
            head.classes.bias.zero_()
        model.other_words.classes.bias += torch.tensor(values)
    return diagnose(model, [hum(1.5)])


def test_a_diagnosis_may_name_several() -> None:
    (both,) = with_bias(50.0, 5.0, -20.0, 10.0)
    assert both.named == ("burr", "stutter")
    assert both.most_probable == "stutter"
    assert not both.exclusive
    assert both.verdicts == {"burr": "yes", "fricative_g": "no", "stutter": "yes"}
    assert both.probabilities[0] == pytest.approx(0.0, abs=1e-5)
    (nothing,) = with_bias(-50.0, -20.0, -20.0, -20.0)
    assert (nothing.named, nothing.most_probable) == (("none",), "none")
    assert nothing.probabilities[0] == pytest.approx(1.0, abs=1e-4)
    assert nothing.places == ()


def test_places_are_of_every_defect_in_question_by_its_own_evidence() -> None:
    model, clip = tiny_multilabel_model(5), hum(2.0)
    unsure = MultilabelCalibration(
        CLASSES,
        {name: Platt(yes_from=1.0, no_from=1.0) for name in CLASSES[1:]},
        heard_from={"burr": 0.3, "stutter": 0.2},
    )
    (answer,) = diagnose(model, [clip], unsure)
    assert set(answer.verdicts.values()) == {"unsure"}
    assert answer.heard is not None
    for index, name in enumerate(CLASSES[1:], start=1):
        own = find_places(answer.heard[:, index], model.frame_seconds, name, unsure.heard_from.get(name, HEARD_FROM))
        assert [(p.start, p.end) for p in answer.places if p.defect == name] == [(p.start, p.end) for p in own]
    assert {place.defect for place in answer.places}


def test_a_calibration_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="for exclusive classes, the model is not"):
        diagnose(tiny_multilabel_model(), [hum(1.0)], Calibration())
    with pytest.raises(ValueError, match="for classes that are not exclusive"):
        diagnose(tiny_model(), [hum(1.0)], MultilabelCalibration(CLASSES))

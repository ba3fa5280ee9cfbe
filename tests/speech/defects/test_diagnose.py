from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from speech.defects.calibration import Calibration
from speech.defects.diagnose import diagnose, warm_up
from speech.defects.model import DefectModel
from tests.bundles import CLASSES, tiny_model
from tests.recordings import hum

CLIPS = [hum(0.3, 1), hum(2.5, 2), hum(0.5, 3), hum(1.1, 4)]


@pytest.mark.parametrize(
    "encoder",
    [
        {},
        {"model_type": "hubert"},
        {"feat_extract_norm": "group", "do_stable_layer_norm": False},
        {"do_stable_layer_norm": False},
    ],
    ids=["layer norm", "hubert", "group norm", "post norm"],
)
def test_a_clips_answer_does_not_depend_on_its_batch(encoder: dict[str, Any]) -> None:
    model = tiny_model(**encoder)
    alone = [diagnose(model, [clip])[0] for clip in CLIPS]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        together = diagnose(model, [CLIPS[index] for index in order])
        for index, answer in zip(order, together, strict=True):
            np.testing.assert_allclose(answer.logits, alone[index].logits, atol=1e-5)
            np.testing.assert_allclose(list(answer.markers.values()), list(alone[index].markers.values()), rtol=1e-4)
            np.testing.assert_allclose(answer.features, alone[index].features, atol=1e-5)
    assert not np.allclose(alone[0].logits, alone[1].logits, atol=1e-5)  # or the rest would prove nothing


def test_an_answer_holds_what_it_promises() -> None:
    answer = diagnose(tiny_model(), [CLIPS[1]])[0]
    assert answer.classes == CLASSES
    assert sum(answer.probabilities) == pytest.approx(1.0)
    np.testing.assert_allclose(torch.tensor(answer.logits).softmax(-1), answer.probabilities, rtol=1e-6)
    assert answer.most_probable == CLASSES[int(np.argmax(answer.logits))]
    assert set(answer.markers) == {"р", "г"}
    assert answer.seconds == pytest.approx(2.5)
    assert answer.features is not None
    assert answer.features.shape == (16,)
    assert list(answer.verdicts) == ["burr", "fricative_g", "stutter"]


@pytest.mark.parametrize("encoder", [{}, {"feat_extract_norm": "group", "do_stable_layer_norm": False}])
def test_probabilities_and_verdicts_follow_the_calibration(encoder: dict[str, Any]) -> None:
    model = tiny_model(**encoder)
    plain = diagnose(model, CLIPS)
    calibration = Calibration(2.0, (3.0, 0.0, 0.0, -1.0), 1.0, 1e6, {"burr": ("р",)})
    for before, after in zip(plain, diagnose(model, CLIPS, calibration), strict=True):
        np.testing.assert_allclose(after.logits, before.logits)
        np.testing.assert_allclose(after.probabilities, calibration.apply(np.array(before.logits)))
        assert not np.allclose(after.probabilities, before.probabilities, atol=0.05)
        assert after.most_probable == "none"
        assert after.verdicts == {"burr": "not_assessable", "fricative_g": "unsure", "stutter": "unsure"}


def test_no_clips_no_answers() -> None:
    assert diagnose(tiny_model(), []) == []


def spoiled(value: float) -> DefectModel:
    model = tiny_model()
    with torch.no_grad():
        model.other_words.classes.bias[0] = value
    return model


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_no_answer(value: float) -> None:
    with pytest.raises(FloatingPointError):
        diagnose(spoiled(value), [CLIPS[0]])
    with pytest.raises(FloatingPointError):
        warm_up(spoiled(value))


def test_a_sound_model_warms_up() -> None:
    warm_up(tiny_model())


def test_the_letters_over_time_add_up_to_their_counts() -> None:
    for answer in diagnose(tiny_model(), CLIPS):
        assert answer.intensity is not None
        assert len(answer.intensity) * answer.frame_seconds == pytest.approx(answer.seconds, abs=0.2)
        np.testing.assert_allclose(answer.intensity.sum(0), list(answer.markers.values()), rtol=1e-4)

"""Places of a defect: found where the evidence is, nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speech.defects.localisation import find_places, heard_in
from speech.defects.model import DefectModel, collate
from speech.defects.spec import ModelSpec
from tests.bundles import ENCODER


def heard(*spans: tuple[int, int, float], frames: int = 200) -> np.ndarray:
    values = np.full(frames, 0.01)
    for first, last, height in spans:
        values[first:last] = height
    return values


def test_a_place_is_where_the_class_is_heard() -> None:
    (place,) = find_places(heard((50, 60, 0.9)), 0.02, "burr")
    assert (place.start, place.end, place.defect) == (1.0, 1.2, "burr")
    assert place.score == pytest.approx(9.0 / (9.0 + 190 * 0.01), abs=1e-4)


def test_near_stretches_are_one_and_far_ones_two() -> None:
    assert len(find_places(heard((50, 55, 1.0), (57, 62, 1.0)), 0.02, "stutter")) == 1
    assert len(find_places(heard((50, 55, 1.0), (80, 85, 1.0)), 0.02, "stutter")) == 2


def test_what_is_heard_less_or_shorter_than_asked_is_no_place() -> None:
    weak = heard((50, 60, 0.9), (100, 110, 0.08), (150, 153, 0.9))
    assert [place.start for place in find_places(weak, 0.02, "burr")] == [1.0]
    assert [place.start for place in find_places(weak, 0.02, "burr", 0.05)] == [1.0, 2.0]


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(50)])
def test_where_nothing_is_heard_there_is_no_place(values: np.ndarray) -> None:
    assert find_places(values, 0.02, "burr") == []


def curves(evidence: float, score: float, sounding: float) -> np.ndarray:
    """What is heard of a class in a clip whose middle frames are so, and whose others are silent."""
    parts = np.zeros((3, 60, 1))
    parts[1] = -9.0
    parts[2] = 1.0
    parts[:, 20:40, 0] = np.array([evidence, score, sounding])[:, None]
    return heard_in(*parts)[:, 0]


def test_a_class_is_heard_where_it_sounds_counts_and_its_letters_are() -> None:
    whole = curves(0.3, 9.0, 1.0)
    assert whole[30] == pytest.approx(1.0, abs=1e-3)
    assert whole[5] == whole[55] == 0.0
    assert curves(0.3, -9.0, 1.0).max() < 1e-3
    assert curves(-0.3, 9.0, 1.0).max() == 0.0
    assert curves(0.3, 9.0, 0.5)[30] == pytest.approx(0.25, abs=1e-3)
    assert heard_in(*np.zeros((3, 0, 4))).shape == (0, 4)


def test_a_frame_that_attention_weighs_little_still_counts() -> None:
    evidence = np.zeros((60, 1))
    evidence[10:20], evidence[40:50] = 0.5, 0.005
    sounds = heard_in(evidence, np.full((60, 1), 9.0), np.ones((60, 1)))[:, 0]
    assert sounds[15] == pytest.approx(1.0, abs=1e-3)
    assert sounds[45] == pytest.approx(0.01**0.25, abs=1e-3)


def test_evidence_adds_up_to_the_logits() -> None:
    torch.manual_seed(0)
    spec = ModelSpec(ENCODER, ("none", "burr", "stutter"), ("р",), (True, True, False), width=8)
    model = DefectModel(spec).eval()
    noise = np.random.default_rng(0)
    sound, lengths = collate([noise.normal(size=size).astype(np.float32) for size in (16_000, 9_000)])
    with torch.inference_mode():
        output = model(sound, lengths)
    assert output.evidence.shape == (*output.gate.shape, 3)
    bias = model.marked * model.marker_words.classes.bias + model.other_words.classes.bias
    assert torch.allclose(output.evidence.sum(1) + bias, output.logits, atol=1e-4)
    assert not output.evidence[~output.mask].any()

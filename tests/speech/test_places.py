"""Places of a defect: found where the evidence is, nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speech.model import DefectModel, collate
from speech.places import find_places
from speech.spec import ModelSpec
from tests.bundles import ENCODER


def evidence(*spans: tuple[int, int, float], frames: int = 200) -> np.ndarray:
    values = np.full(frames, -0.01)
    for first, last, height in spans:
        values[first:last] = height
    return values


def test_a_place_is_where_the_evidence_is() -> None:
    (place,) = find_places(evidence((50, 60, 1.0)), 0.02, "burr")
    assert place.start == pytest.approx(1.0, abs=0.03)
    assert place.end == pytest.approx(1.2, abs=0.03)
    assert place.defect == "burr"
    assert place.score == pytest.approx(1.0, abs=0.01)


def test_near_stretches_are_one_and_far_ones_two() -> None:
    assert len(find_places(evidence((50, 55, 1.0), (57, 62, 1.0)), 0.02, "stutter")) == 1
    assert len(find_places(evidence((50, 55, 1.0), (80, 85, 1.0)), 0.02, "stutter")) == 2


def test_what_is_weak_beside_the_strongest_is_no_place() -> None:
    places = find_places(evidence((50, 60, 1.0), (100, 110, 0.08)), 0.02, "burr")
    assert [place.start for place in places] == pytest.approx([1.0], abs=0.03)
    assert places[0].score < 0.95


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(50), np.full(50, -1.0)])
def test_without_evidence_there_is_no_place(values: np.ndarray) -> None:
    assert find_places(values, 0.02, "burr") == []


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

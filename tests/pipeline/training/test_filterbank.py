"""The filter bank start: bands follow their frequencies whatever the phase, and only fitting layers are touched."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.training.filterbank import PHASES, filters, start_as_filterbank
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import DefectModel
from speech.defects.spec import ModelSpec
from tests.bundles import ENCODER

FITTING = {"conv_dim": [32, 32, 32], "conv_kernel": [320, 8, 3], "conv_stride": [40, 4, 2]}


def encoder(**changes: object) -> torch.nn.Module:
    spec = ModelSpec(ENCODER | changes, ("none", "burr"), ("р",), (True, True))
    return DefectModel(spec).encoder


def loudest_band(hertz: float, phase: float) -> int:
    time = torch.arange(4000) / SAMPLE_RATE
    wave = torch.cos(2 * math.pi * hertz * time + phase)
    answer = torch.nn.functional.conv1d(wave[None, None], filters(16, 320)[:, None], stride=40).relu()
    return int(answer.mean(-1).reshape(16, PHASES).sum(-1).argmax())


def test_bands_rise_with_frequency_and_do_not_mind_the_phase() -> None:
    heard = [loudest_band(hertz, 0.0) for hertz in (150, 500, 1500, 4000, 7000)]
    assert heard == sorted(set(heard))
    assert [loudest_band(1500, phase) for phase in (0.5, 1.5, 3.0)] == [heard[2]] * 3


def test_fitting_encoder_is_started() -> None:
    started = encoder(**FITTING)
    assert start_as_filterbank(started)
    first = started.feature_extractor.conv_layers[0].conv.weight
    assert torch.equal(first[:, 0], filters(8, 320))
    assert started(torch.randn(1, 16000)).last_hidden_state.isfinite().all()


@pytest.mark.parametrize(
    "change", [{"conv_kernel": [20, 8, 3]}, {"conv_dim": [30, 30, 30]}, {"conv_dim": [32, 16, 16]}]
)
def test_encoder_that_does_not_fit_is_left_alone(change: dict[str, list[int]]) -> None:
    left = encoder(**(FITTING | change))
    before = [parameter.clone() for parameter in left.parameters()]
    assert not start_as_filterbank(left)
    assert all(torch.equal(a, b) for a, b in zip(before, left.parameters(), strict=True))

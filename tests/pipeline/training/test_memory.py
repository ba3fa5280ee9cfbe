"""What a step is said to want of memory, held against what it takes; and layers that are computed twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.tensor_bytes import TensorBytes
from pipeline.defects.pretraining import start_model
from pipeline.settings import Precision
from pipeline.training.memory import Shape, checkpoints_layers, estimate, layers_twice, shape_of
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import DefectModel
from speech.hardware.devices import Card, Hardware
from tests.pipeline.training.shared import STEADY, TRAININGS
from tests.pipeline.training.test_training import CLASSES, LETTERS, MARKED, encoder_settings, ignore

XLSR = Shape(parameters=317_000_000, learning=311_000_000, layers=24, size=1024, inner=4096, heads=16)
FACTOR = 1.35  # that the estimate and what is measured may lie apart


def model(**changes: Any) -> DefectModel:
    sizes = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 4}
    convolutions = {"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2], "conv_dim": [32] * 7}
    dropped = {"hidden_dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    architecture = STEADY | convolutions | sizes | dropped | changes
    made = start_model(encoder_settings(architecture=architecture), CLASSES, LETTERS, MARKED).train()
    made.encoder.freeze_feature_encoder()  # type: ignore[operator]
    return made


def measured(made: DefectModel, clips: int, seconds: float, *, half: bool) -> int:
    optimiser = torch.optim.AdamW([p for p in made.parameters() if p.requires_grad], fused=True)
    sound = torch.randn(clips, int(seconds * SAMPLE_RATE))
    lengths = torch.full((clips,), sound.shape[1])
    counted = TensorBytes()
    counted.count(*made.parameters(), *made.buffers(), sound)
    with counted:
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                output = made(sound, lengths)
                loss = output.members.float().logsumexp(-1).sum() + output.intensity.sum()
            del output
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            del loss
    return counted.peak


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(("clips", "seconds"), [(4, 3.0), (16, 1.0)])
def test_the_estimate_is_near_what_is_measured(clips: int, seconds: float, *, half: bool, twice: bool) -> None:
    made = model()
    shape = shape_of(made)
    assert shape is not None
    computed_in = Precision.bf16 if half else Precision.fp32
    guess = estimate(shape, clips, seconds, computed_in, checkpointed=twice, fused=False)
    if twice:
        with layers_twice(made):
            peak = measured(made, clips, seconds, half=half)
    else:
        peak = measured(made, clips, seconds, half=half)
    assert peak / FACTOR < guess.total < peak * FACTOR
    # Most of it is what layers keep: an estimate of the weights alone would not be near.
    fixed = guess.weights + guess.gradients + guess.optimiser
    assert twice or peak > 2 * fixed


def test_layers_that_are_computed_twice_give_the_same_and_keep_less(tmp_path: Path) -> None:
    runs = {}
    for how in (False, True):
        trained, run = TRAININGS["heads"](tmp_path / str(how), ignore, ignore, gradient_checkpointing=how)
        runs[how] = {name: value.clone() for name, value in trained.state_dict().items()}, run
        assert not any(getattr(part, "gradient_checkpointing", False) for part in trained.modules())
    assert all(torch.allclose(value, runs[True][0][name], atol=1e-6) for name, value in runs[False][0].items())
    made = model()
    plain = measured(made, 8, 2.0, half=False)
    with layers_twice(made):
        assert measured(made, 8, 2.0, half=False) < 0.6 * plain


@pytest.mark.parametrize(
    ("gibibytes", "switch", "twice"),
    [(16, None, False), (8, None, True), (8, False, False), (80, True, True), (None, None, False)],
)
def test_layers_are_computed_twice_where_the_card_is_small(
    gibibytes: int | None, switch: bool | None, *, twice: bool
) -> None:
    made = model()
    settings = encoder_settings(gradient_checkpointing=switch, batch_size=64, device="auto")
    needed = estimate(_shape(made), 64, 15.0, Precision.bf16, checkpointed=False, fused=True).total
    # As if the card were so large, and the model XLS-R's size, which wants between 8 and 16 GiB.
    memory = None if gibibytes is None else int(needed * gibibytes / 12)
    cards = (Card("a card", memory, bf16=True),) if memory else ()
    chosen, why = checkpoints_layers(settings, made, 15.0, Precision.bf16, Hardware(cards))
    assert chosen is twice
    assert bool(why) is (twice and switch is None)
    if why:
        assert "a step wants about" in why
        assert "gradient_checkpointing" in why


def _shape(made: DefectModel) -> Shape:
    shape = shape_of(made)
    assert shape is not None
    return shape


def test_shares_and_halves_want_less() -> None:
    def total(clips: int, computed_in: Precision, *, checkpointed: bool = False) -> float:
        return estimate(XLSR, clips, 15.0, computed_in, checkpointed=checkpointed, fused=True).total

    assert total(4, Precision.bf16) < total(8, Precision.bf16) < total(8, Precision.fp32)
    assert total(8, Precision.bf16, checkpointed=True) < 0.6 * total(8, Precision.bf16)
    assert total(8, Precision.fp16) == total(8, Precision.bf16)

"""Layers in eight bits: near those in fp32, whatever their shape; what they were made of stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, WhisperConfig

from speech.encoders.int8 import in_int8
from speech.encoders.int8_layers import Int8Convolution, Int8Linear, _rounded
from speech.encoders.whisper_encoder import SoundEncoder
from tests.bundles import ENCODER

NEAR = 0.02  # mean error beside the mean value


def far(made: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((made - wanted).abs().mean() / wanted.abs().mean())


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@torch.inference_mode()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(40,), (1, 40), (3, 17, 40)])
def test_a_linear_layer(shape: tuple[int, ...], bias: bool) -> None:
    layer, given = nn.Linear(40, 24, bias=bias), torch.randn(shape)
    made = Int8Linear(layer.weight, layer.bias)(given)
    assert made.shape == (*shape[:-1], 24)
    assert far(made, layer(given)) < NEAR


@torch.inference_mode()
def test_a_loud_row_does_not_make_a_quiet_one_coarse() -> None:
    layer, given = nn.Linear(40, 24, bias=False), torch.randn(2, 40)
    given[0] *= 1e4
    made = Int8Linear(layer.weight, None)(given)
    assert far(made[1], layer(given)[1]) < NEAR


@torch.inference_mode()
def test_silence_and_what_is_no_number_stay_so() -> None:
    layer = Int8Linear(torch.randn(24, 40), torch.ones(24))
    assert torch.equal(layer(torch.zeros(2, 40)), torch.ones(2, 24))
    assert layer(torch.full((1, 40), float("nan"))).isnan().all()


@torch.inference_mode()
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"), [(3, 2, 0, 1), (2, 2, 0, 1), (3, 1, 1, 1), (16, 1, 8, 4), (1, 1, 0, 1)]
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution(kernel: int, stride: int, padding: int, groups: int, bias: bool) -> None:
    layer = nn.Conv1d(16, 32, kernel, stride, padding, groups=groups, bias=bias)
    given = torch.randn(2, 16, 50)
    made = Int8Convolution(layer)(given)
    assert made.shape == layer(given).shape
    assert far(made, layer(given)) < NEAR


def test_rounding_keeps_each_row_s_sum() -> None:
    values = torch.empty(64, 300).uniform_(-100, 100)
    values[0] = 0.4  # all would go down
    values[1] = torch.arange(300.0) % 100 - 50  # whole already
    whole = _rounded(values)
    assert torch.equal(whole, whole.round())
    assert (whole - values).abs().max() <= 1.0
    assert (whole.sum(1) - values.sum(1)).abs().max() <= 0.5 + 1e-2
    assert (values.round().sum(1) - values.sum(1)).abs().max() > 100  # what it is for
    assert torch.equal(whole[1], values[1])


def wav2vec2(**changed: Any) -> nn.Module:
    return AutoModel.from_config(AutoConfig.for_model(**(ENCODER | changed))).eval()


def whisper() -> nn.Module:
    config = WhisperConfig(d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64)
    return SoundEncoder(config).eval()


ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "wav2vec2": wav2vec2,
    "group norm": lambda: wav2vec2(feat_extract_norm="group"),
    "norm after": lambda: wav2vec2(do_stable_layer_norm=False, conv_bias=True),
    "hubert": lambda: wav2vec2(model_type="hubert"),
    "wavlm": lambda: wav2vec2(model_type="wavlm"),
    "whisper": whisper,
}


@torch.inference_mode()
@pytest.mark.parametrize("convolutions", [True, False])
@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_hears_what_it_heard(name: str, convolutions: bool) -> None:
    encoder, sound = ENCODERS[name](), torch.randn(2, 8000)

    def heard(of: nn.Module) -> torch.Tensor:
        states = of(sound, attention_mask=None, output_hidden_states=True).hidden_states
        assert len(states) == encoder.config.num_hidden_layers + 1
        return torch.stack(states)

    before = heard(encoder)
    made = in_int8(encoder, convolutions=convolutions)
    assert 0.0 < far(heard(made), before) < 0.1
    assert torch.equal(heard(encoder), before)
    kinds = {type(module) for module in made.modules()}
    assert Int8Linear in kinds
    assert (Int8Convolution in kinds) == convolutions


@torch.inference_mode()
def test_several_threads_may_hear_at_once() -> None:
    made = in_int8(wav2vec2())
    sounds = [torch.randn(1, 8000 + 400 * number) for number in range(4)]
    alone = [made(sound).last_hidden_state for sound in sounds]

    def hear(sound: torch.Tensor) -> list[torch.Tensor]:
        with torch.inference_mode():
            return [made(sound).last_hidden_state for _ in range(10)]

    with ThreadPoolExecutor(4) as threads:
        for heard, wanted in zip(threads.map(hear, sounds), alone, strict=True):
            assert all(torch.equal(one, wanted) for one in heard)


def test_what_does_not_change_is_shared() -> None:
    encoder = wav2vec2()
    made = in_int8(encoder)
    own = {parameter.data_ptr() for parameter in encoder.parameters()}
    assert {parameter.data_ptr() for parameter in made.parameters()} < own


@torch.inference_mode()
def test_light_convolutions_stay_as_they_are() -> None:
    deep = {"conv_dim": (32, 32, 32, 32), "conv_kernel": (10, 3, 3, 2), "conv_stride": (5, 2, 2, 8)}
    layers = in_int8(wav2vec2(**deep)).feature_extractor.conv_layers
    assert [type(layer.conv) is nn.Conv1d for layer in layers] == [False, False, False, True]

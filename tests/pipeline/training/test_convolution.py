"""Convolutions of a training in bf16 on a processor: those of fp32, whatever unwritten memory holds."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from pipeline.training.convolution import exact_convolutions

# glibc fills what it hands out with bytes of ones, which are NaN in bf16 as in fp32 (mallopt's M_PERTURB is -6).
UNWRITTEN_IS_NAN = """
import ctypes
import torch
from torch import nn
from pipeline.training.convolution import exact_convolutions
assert ctypes.CDLL(None).mallopt(-6, 256) == 1
torch.manual_seed(0)
bad = 0
for shape in ((16, 16, 8, 4), (16, 16, 4, 2), (8, 16, 5, 2), (32, 32, 10, 3), (8, 128, 7, 3), (8, 64, 8, 1)):
    model = nn.Conv1d(*shape)
    for samples in range(399, 407):
        model.zero_grad()
        with exact_convolutions(model), torch.autocast("cpu", dtype=torch.bfloat16):
            model(torch.randn(2, shape[0], samples)).float().square().mean().backward()
        bad += sum(not bool(p.grad.isfinite().all()) for p in model.parameters())
print(bad)
"""


def test_memory_that_nobody_wrote_is_not_in_a_gradient() -> None:
    ran = subprocess.run([sys.executable, "-c", UNWRITTEN_IS_NAN], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0"]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(8, 16, 32), (2, 8, 100)),
        (nn.Conv1d(16, 16, 8, 4), (2, 16, 220)),
        (nn.Conv1d(8, 8, 16, padding=8, groups=2), (2, 8, 40)),
        (nn.Conv1d(8, 8, 16, padding="same", bias=False), (8, 40)),
        (nn.Conv2d(1, 8, 3, 2), (2, 1, 40, 30)),
        (nn.ConvTranspose1d(8, 8, 16, 4), (2, 8, 40)),
        (nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 16, padding=8, groups=2), dim=2), (2, 8, 40)),
    ],
)
def test_it_is_the_convolution_of_fp32(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    sound = torch.randn(shape)

    def computed() -> list[torch.Tensor]:
        layer.zero_grad()
        heard = sound.clone().requires_grad_()
        out = layer(heard)
        out.square().mean().backward()
        return [out.detach(), heard.grad, *(p.grad.clone() for p in layer.parameters())]

    exact = computed()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(sound).dtype is torch.bfloat16
        with exact_convolutions(nn.ModuleList([layer])):
            within = computed()
    for one, other in zip(exact, within, strict=True):
        assert other.dtype is torch.float32
        assert torch.allclose(one, other, atol=1e-2 * float(one.abs().max()))  # a weight norm's own sums are autocast's


def test_afterwards_all_is_as_before() -> None:
    layer = nn.Sequential(nn.Conv1d(2, 2, 2))
    before = set(layer[0].__dict__)
    with pytest.raises(RuntimeError), exact_convolutions(layer):
        raise RuntimeError
    assert set(layer[0].__dict__) == before


def test_the_rest_stays_in_bf16() -> None:
    layers = nn.Sequential(nn.Conv1d(2, 2, 2), nn.Linear(7, 3))
    with exact_convolutions(layers), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layers(torch.randn(1, 2, 8)).dtype is torch.bfloat16

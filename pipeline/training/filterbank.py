"""A start for encoders from scratch: the first two layers as a mel filter bank, which small data cannot teach them.

A convolution with a few milliseconds' kernels learns pitch and formants from raw sound only on hours of it. Started as
band-pass filters in four phases, whose rectified sum is a band's envelope, it begins with what a mel spectrogram holds
and goes on learning from there.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from speech.audio.decode import SAMPLE_RATE

PHASES = 4  # quarter periods; rectified and summed they follow a band's envelope whatever the sound's phase
LOWEST, HIGHEST = 80.0, 7600.0  # hertz: below the lowest pitch, and just below half the sample rate
LEAST_KERNEL = 160  # samples; 10 ms, below which a filter cannot tell neighbouring formants apart


def start_as_filterbank(encoder: nn.Module) -> bool:
    """Set the first two convolutions of a wav2vec 2.0 that has weights yet to learn; says whether they fit.

    They fit where the first kernel is at least `LEAST_KERNEL` samples and both layers' channels are a multiple of
    `PHASES`, the first's a multiple of the second's or equal to it.
    """
    layers = getattr(getattr(encoder, "feature_extractor", None), "conv_layers", None)
    if layers is None or len(layers) < 2:
        return False
    first, second = layers[0].conv, layers[1].conv
    channels, kernel = first.out_channels, first.kernel_size[0]
    if kernel < LEAST_KERNEL or channels % PHASES or second.out_channels != channels:
        return False
    with torch.no_grad():
        first.weight.copy_(filters(channels // PHASES, kernel).unsqueeze(1))
        second.weight.copy_(_envelopes(channels // PHASES, second.kernel_size[0]))
        for layer in (first, second):
            if layer.bias is not None:
                layer.bias.zero_()
    return True


def filters(bands: int, kernel: int) -> torch.Tensor:
    """Windowed cosines at mel-spaced frequencies in four phases, (bands * 4, kernel), each of unit energy."""
    mel = torch.linspace(_mel(LOWEST), _mel(HIGHEST), bands)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    time = (torch.arange(kernel) - (kernel - 1) / 2) / SAMPLE_RATE
    phase = torch.arange(PHASES) * (2 * math.pi / PHASES)
    waves = torch.cos(2 * math.pi * hertz[:, None, None] * time + phase[None, :, None])
    waves = (waves * torch.hann_window(kernel, periodic=False)).reshape(bands * PHASES, kernel)
    return waves / waves.norm(dim=1, keepdim=True)


def _envelopes(bands: int, kernel: int) -> torch.Tensor:
    """(bands * 4, bands * 4, kernel): for each band the sum of its phases, seen through four windows in time."""
    time = torch.linspace(-1, 1, kernel)
    shapes = torch.stack([torch.ones(kernel), time, (time < 0).float() - 0.5, 1 - 2 * time.abs()])
    weight = torch.zeros(bands * PHASES, bands * PHASES, kernel)
    for band in range(bands):
        rows = slice(band * PHASES, (band + 1) * PHASES)
        weight[rows, rows] = (shapes / shapes.norm(dim=1, keepdim=True))[:, None, :].expand(-1, PHASES, -1)
    return weight


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)

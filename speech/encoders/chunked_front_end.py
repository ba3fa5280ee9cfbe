"""wav2vec 2.0's convolutional front end, computed piece by piece: the same frames in a fraction of the memory.

The first convolution makes 3,200 frames of a second of sound, and several copies of them live at once: 1.3 GB for a
minute with 512 channels, as much as all weights of an encoder of 300 M. Without padding, and with a norm over single
frames, a frame depends on nothing but the samples beneath it. So a long clip can be computed in pieces.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

PIECE_FRAMES = 50  # of the output: 1 s, 7 MB a copy with 512 channels; both more and less take longer


class FrontEnd(nn.Module):
    """The layers of a Hugging Face front end, under their names, so that weights load into either."""

    def __init__(self, layers: nn.ModuleList, kernels: list[int], strides: list[int]) -> None:
        super().__init__()
        self.conv_layers = layers
        self._stride = math.prod(strides)
        self._reach = 1  # samples beneath one frame
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            self._reach = (self._reach - 1) * stride + kernel

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """sound (batch, samples) to (batch, channels, frames); whole where gradients are to flow."""
        frames = (sound.shape[1] - self._reach) // self._stride + 1
        if self.training or frames <= PIECE_FRAMES:
            return self._piece(sound)
        pieces = []
        for first in range(0, frames, PIECE_FRAMES):
            last = min(first + PIECE_FRAMES, frames) - 1
            pieces.append(self._piece(sound[:, first * self._stride : last * self._stride + self._reach]))
        return torch.cat(pieces, -1)

    def _piece(self, sound: torch.Tensor) -> torch.Tensor:
        hidden = sound[:, None]
        for layer in self.conv_layers:
            hidden = layer(hidden)
        return hidden

    def _freeze_parameters(self) -> None:
        """What the encoder's `freeze_feature_encoder` calls."""
        self.requires_grad_(False)


def hear_in_pieces(encoder: Any) -> None:
    """Have an encoder compute its front end in pieces. An encoder with a norm over the whole clip stays as it is."""
    layers = getattr(getattr(encoder, "feature_extractor", None), "conv_layers", None)
    if layers is not None and getattr(encoder.config, "feat_extract_norm", "") == "layer":
        config = encoder.config
        pieces = FrontEnd(layers, list(config.conv_kernel), list(config.conv_stride))
        encoder.feature_extractor = pieces.train(encoder.training)

"""Self-similarity: how like each moment of a clip is to those before it, by which a stutter can be heard.

A repeated syllable is like the sound of a fifth of a second ago, and a held sound is like the sound just before. A few
hundred clips do not teach that to layers that see absolute features. The similarities themselves do not depend on the
voice.
"""

from __future__ import annotations

import torch
from torch import nn

NEAREST, FARTHEST = 2, 45  # lags in frames: 40 to 900 ms at 50 frames a second, past the longest repeated syllable
BLOCK = 512  # frames that are compared with each other at once
SMOOTHED = 5  # frames: a tenth of a second must be alike, not a single frame


class Echo(nn.Module):
    """Cosine similarities of projected frames at every lag, and what they mean."""

    def __init__(self, size: int, width: int, inner: int = 48) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, inner))
        self.mix = nn.Sequential(nn.Linear(FARTHEST - NEAREST + 1, width), nn.GELU(), nn.Dropout(0.1))

    def forward(self, frames: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """frames (batch, frames, size), gate (batch, frames) from 0 to 1, to (batch, frames, width).

        Frames that the gate does not let through, padding among them, are like none and change nothing.
        """
        mask = gate.unsqueeze(-1)
        projected = self.project(frames) * mask
        mean = projected.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1e-6)
        projected = nn.functional.normalize((projected - mean).float(), dim=-1) * mask
        smooth = nn.functional.avg_pool1d(echoes(projected), SMOOTHED, stride=1, padding=SMOOTHED // 2)
        mixed: torch.Tensor = self.mix(smooth.transpose(1, 2).to(frames.dtype))
        return mixed


def echoes(projected: torch.Tensor) -> torch.Tensor:
    """Dot products of each frame with those `NEAREST` to `FARTHEST` before it: (batch, frames, size) to (batch, lags,
    frames), 0 where there is no such frame.

    Whole blocks of frames are multiplied with each other, and a band of each product is kept. That makes more products
    than lag by lag, but takes a fifth of the time. Blocks keep memory in proportion to a clip's length.
    """
    lags = torch.arange(NEAREST, FARTHEST + 1, device=projected.device)
    bands = []
    for first in range(0, projected.shape[1], BLOCK):
        rows = projected[:, first : first + BLOCK]
        earlier = min(first, FARTHEST)
        products = rows @ projected[:, first - earlier : first + rows.shape[1]].transpose(1, 2)
        places = earlier + torch.arange(rows.shape[1], device=projected.device).unsqueeze(1) - lags
        band = products.gather(2, places.clamp(min=0).expand(len(projected), -1, -1))
        bands.append(band.masked_fill(places < 0, 0.0))
    return torch.cat(bands, 1).transpose(1, 2)

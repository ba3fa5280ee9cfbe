"""How like each moment of a clip is to those before it: what a stutter is made of, whatever the voice.

A repeated syllable is like what was said a fifth of a second ago, a held sound like what was said just now. A few
hundred clips do not teach this to layers that look at absolute features; the similarities themselves hold for any
voice.
"""

from __future__ import annotations

import torch
from torch import nn

NEAREST, FARTHEST = 2, 45  # lags in frames: 40 to 900 ms at 50 frames a second, past the longest repeated syllable
SMOOTHED = 5  # frames: a tenth of a second must be alike, not a single frame


class Echo(nn.Module):
    """Cosine similarities of projected frames at every lag, and what they mean."""

    def __init__(self, size: int, width: int, inner: int = 48) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, inner))
        self.mix = nn.Sequential(nn.Linear(FARTHEST - NEAREST + 1, width), nn.GELU(), nn.Dropout(0.1))

    def forward(self, frames: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """frames (batch, frames, size), gate (batch, frames) from 0 to 1, to (batch, frames, width).

        What the gate does not let through, the padding among it, is like nothing and has no say.
        """
        mask = gate.unsqueeze(-1)
        projected = self.project(frames) * mask
        mean = projected.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1e-6)
        projected = nn.functional.normalize((projected - mean).float(), dim=-1) * mask
        echoes = torch.stack([self._echo(projected, lag) for lag in range(NEAREST, FARTHEST + 1)], dim=1)
        smooth = nn.functional.avg_pool1d(echoes, SMOOTHED, stride=1, padding=SMOOTHED // 2)
        mixed: torch.Tensor = self.mix(smooth.transpose(1, 2).to(frames.dtype))
        return mixed

    @staticmethod
    def _echo(projected: torch.Tensor, lag: int) -> torch.Tensor:
        count = projected.shape[1]
        if lag >= count:
            return projected.new_zeros(projected.shape[:2])
        return nn.functional.pad((projected[:, lag:] * projected[:, : count - lag]).sum(-1), (lag, 0))

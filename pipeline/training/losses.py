"""What training minimises: counts of marker letters, and defects."""

from __future__ import annotations

import torch
from torch import nn

_LEAST_RATE = 1e-4  # expected count below which the logarithm is cut off


def count_loss(predicted: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mean Poisson negative log likelihood, up to a constant, of counts (…, letters) given expected ones.

    Counts below zero are unknown and left out; without any known count the loss is zero.
    """
    known = counts >= 0
    rate = predicted.float().clamp(min=_LEAST_RATE)
    loss = rate - counts.clamp(min=0) * rate.log()
    return (loss * known).sum() / known.sum().clamp(min=1)


def span_totals(intensity: torch.Tensor, spans: torch.Tensor, frame_seconds: float) -> torch.Tensor:
    """Summed intensity in spans: intensity (batch, frames, letters), spans (batch, words, 2) in seconds, to
    (batch, words, letters)."""
    running = nn.functional.pad(intensity.float().cumsum(1), (0, 0, 1, 0))
    frames = intensity.shape[1]
    edges = (spans / frame_seconds).round().long().clamp(0, frames)
    first, last = edges[..., 0], torch.maximum(edges[..., 1], (edges[..., 0] + 1).clamp(max=frames))
    letters = intensity.shape[2]

    def at(index: torch.Tensor) -> torch.Tensor:
        return running.gather(1, index.unsqueeze(-1).expand(-1, -1, letters))

    return at(last) - at(first)


def marker_loss(
    intensity: torch.Tensor,
    spans: torch.Tensor,
    span_counts: torch.Tensor,
    clip_counts: torch.Tensor,
    frame_seconds: float,
    *,
    per_word: bool,
) -> torch.Tensor:
    """Loss of the predicted counts: per clip, and per word too where `per_word`."""
    loss = count_loss(intensity.float().sum(1), clip_counts)
    if per_word:
        loss = loss + count_loss(span_totals(intensity, spans, frame_seconds), span_counts)
    return loss


def defect_loss(logits: torch.Tensor, labels: torch.Tensor, class_weights: torch.Tensor) -> torch.Tensor:
    """Cross entropy over labelled clips; zero where none is labelled."""
    if not bool((labels >= 0).any()):
        return logits.sum() * 0.0
    return nn.functional.cross_entropy(logits.float(), labels, weight=class_weights.to(logits.device))


def balanced_weights(labels: list[int], classes: int) -> torch.Tensor:
    """A weight per class, inverse to its share, with mean 1 over the clips; classes without a clip weigh nothing."""
    counts = torch.bincount(torch.tensor(labels), minlength=classes).float()
    present = (counts > 0).sum()
    return torch.where(counts > 0, len(labels) / (present * counts.clamp(min=1)), torch.zeros(classes))

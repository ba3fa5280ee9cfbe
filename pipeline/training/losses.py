"""What training minimises: counts of marker letters, and defects."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from speech.model import Output

_LEAST_RATE = 1e-4  # expected count or probability below which the logarithm is cut off
_SMOOTHING = 0.05  # of class labels: clips of a class hold it more or less, and some are labelled wrong
_WORD_MARGIN = 0.06  # seconds on both sides of a word's span: Whisper's word times are that unsure


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


def spelling_loss(
    spelling: torch.Tensor,
    frames: torch.Tensor,
    spans: torch.Tensor,
    span_letters: torch.Tensor,
    clip_letters: torch.Tensor,
    frame_seconds: float,
    *,
    per_word: bool,
    prior_weight: float,
) -> torch.Tensor:
    """CTC of the letters heard: over a clip whose letters are all known, else over each known word where `per_word`.

    `spelling` (batch, frames, 1 + alphabet) are log probabilities, `frames` (batch,) each clip's own; `spans` (batch,
    words, 2) in seconds; `span_letters` (batch, words, letters) and `clip_letters` (batch, letters) hold indices of
    the alphabet from 1, filled up with 0. `prior_weight` divides by the mean probabilities to this power, without
    which CTC narrows letters to single frames (label priors, 2406.02560). Mean loss a letter; zero without letters.
    """
    if prior_weight > 0:
        inside = torch.arange(spelling.shape[1], device=spelling.device) < frames.unsqueeze(1)
        mean = spelling.detach().exp()[inside].mean(0).clamp(min=_LEAST_RATE).log()
        spelling = (spelling - prior_weight * mean).log_softmax(-1)
    pieces: list[torch.Tensor] = []
    targets: list[torch.Tensor] = []
    for row in range(len(spelling)):
        own = spelling[row, : int(frames[row])]
        if bool((clip_letters[row] > 0).any()):
            pieces.append(own)
            targets.append(clip_letters[row][clip_letters[row] > 0])
        elif per_word:
            for (start, end), letters in zip(spans[row].tolist(), span_letters[row], strict=True):
                if bool((letters > 0).any()):
                    first = max(0, round((start - _WORD_MARGIN) / frame_seconds))
                    pieces.append(own[first : max(first + 1, round((end + _WORD_MARGIN) / frame_seconds))])
                    targets.append(letters[letters > 0])
    usable = [(piece, target) for piece, target in zip(pieces, targets, strict=True) if len(piece) >= len(target)]
    if not usable:
        return spelling.sum() * 0.0
    return nn.functional.ctc_loss(
        nn.utils.rnn.pad_sequence([piece for piece, _ in usable]).float(),
        torch.cat([target for _, target in usable]),
        torch.tensor([len(piece) for piece, _ in usable]),
        torch.tensor([len(target) for _, target in usable]),
        zero_infinity=True,  # letters that repeat need a frame between them and may not fit
    )


def pretext_loss(
    output: Output,
    batch: Mapping[str, torch.Tensor],
    frame_seconds: float,
    *,
    per_word: bool,
    counts: bool,
    prior_weight: float = 0.0,
) -> torch.Tensor:
    """What transcripts teach, on a batch of `pipeline.training.examples.Collator`: spelling where the model spells, and
    counting where it only counts or `counts` asks for it."""
    loss = output.logits.new_zeros(())
    if counts or output.spelling is None:
        known = batch["spans"], batch["span_counts"], batch["clip_counts"]
        loss = loss + marker_loss(output.intensity, *known, frame_seconds, per_word=per_word)
    if output.spelling is not None:
        loss = loss + spelling_loss(
            output.spelling,
            output.mask.sum(1),
            batch["spans"],
            batch["span_letters"],
            batch["clip_letters"],
            frame_seconds,
            per_word=per_word,
            prior_weight=prior_weight,
        )
    return loss


def defect_loss(logits: torch.Tensor, labels: torch.Tensor, class_weights: torch.Tensor) -> torch.Tensor:
    """Cross entropy over labelled clips; zero where none is labelled."""
    if not bool((labels >= 0).any()):
        return logits.sum() * 0.0
    return nn.functional.cross_entropy(
        logits.float(), labels, weight=class_weights.to(logits.device), label_smoothing=_SMOOTHING
    )


def balanced_weights(counts: torch.Tensor) -> torch.Tensor:
    """A weight per class, inverse to its number of clips (classes,), with mean 1 over the clips; 0 without any."""
    present = counts > 0
    return torch.where(present, counts.sum() / (present.sum() * counts.clamp(min=1e-6)), torch.zeros_like(counts))

"""What training minimises: counts of marker letters, and defects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from speech.defects.model import Output

_LEAST_RATE = 1e-4  # expected count or probability below which the logarithm is cut off
_SMOOTHING = 0.05  # of class labels: clips of a class hold it more or less, and some are labelled wrong
_LEAST_WEIGHT = 1e-9  # of a batch without anything to learn from, whose loss is zero anyway
_CLIPS, _WORDS, _PIECES = "known clip counts", "known word counts", "spelled pieces"
_MASS, _FRAMES = "probability of each letter", "frames"
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
    whole: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Loss of the predicted counts: per clip, and per word too where `per_word`. `whole` as in `pretext_loss`."""
    loss = share(count_loss(intensity.float().sum(1), clip_counts), known(clip_counts), whole, _CLIPS)
    if per_word:
        words = count_loss(span_totals(intensity, spans, frame_seconds), span_counts)
        loss = loss + share(words, known(span_counts), whole, _WORDS)
    return loss


def known(counts: torch.Tensor) -> torch.Tensor:
    """How many of the counts are known."""
    return (counts >= 0).sum()


def share(mean: torch.Tensor, own: torch.Tensor, whole: Mapping[str, torch.Tensor] | None, name: str) -> torch.Tensor:
    """What a mean over `own` items adds to the mean over all `whole[name]` items of the batch that it is a part of; the
    mean itself where `whole` is None."""
    if whole is None:
        return mean
    return mean * (own.to(mean.device) / whole[name].to(mean.device).clamp(min=_LEAST_WEIGHT))


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
    whole: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """CTC of the letters heard: over a clip whose letters are all known, else over each known word where `per_word`.

    `spelling` (batch, frames, 1 + alphabet) are log probabilities, `frames` (batch,) each clip's own; `spans` (batch,
    words, 2) in seconds; `span_letters` (batch, words, letters) and `clip_letters` (batch, letters) hold indices of
    the alphabet from 1, filled up with 0. `prior_weight` divides by the mean probabilities to this power, without
    which CTC narrows letters to single frames (label priors, 2406.02560). Mean loss a letter; zero without letters.
    `whole` as in `pretext_loss`.
    """
    if prior_weight > 0:
        mass = spelling_mass(spelling, frames) if whole is None else whole
        mean = (mass[_MASS] / mass[_FRAMES]).to(spelling).clamp(min=_LEAST_RATE).log()
        spelling = (spelling - prior_weight * mean).log_softmax(-1)
    pieces = list(_pieces(frames, spans, span_letters, clip_letters, frame_seconds, per_word=per_word))
    if not pieces:
        return spelling.sum() * 0.0
    loss = nn.functional.ctc_loss(
        nn.utils.rnn.pad_sequence([spelling[row, first:last] for row, first, last, _ in pieces]).float(),
        torch.cat([letters for *_, letters in pieces]),
        torch.tensor([last - first for _, first, last, _ in pieces]),
        torch.tensor([len(letters) for *_, letters in pieces]),
        zero_infinity=True,  # letters that repeat need a frame between them and may not fit
    )
    return share(loss, torch.tensor(len(pieces)), whole, _PIECES)


def spelling_mass(spelling: torch.Tensor, frames: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the mean probability of each letter is made of: their sums over all frames, and the frames' number."""
    inside = torch.arange(spelling.shape[1], device=spelling.device) < frames.unsqueeze(1)
    chosen = spelling.detach().exp()[inside]
    return {_MASS: chosen.sum(0), _FRAMES: torch.tensor(float(len(chosen)), device=chosen.device)}


def _pieces(
    frames: torch.Tensor,
    spans: torch.Tensor,
    span_letters: torch.Tensor,
    clip_letters: torch.Tensor,
    frame_seconds: float,
    *,
    per_word: bool,
) -> Iterator[tuple[int, int, int, torch.Tensor]]:
    """Row, first and last frame, and letters of what is spelled; pieces too short for their letters are left out."""
    for row, count in enumerate(frames.tolist()):
        found: list[tuple[int, int, torch.Tensor]] = []
        if bool((clip_letters[row] > 0).any()):
            found.append((0, int(count), clip_letters[row][clip_letters[row] > 0]))
        elif per_word:
            for (start, end), letters in zip(spans[row].tolist(), span_letters[row], strict=True):
                if bool((letters > 0).any()):
                    first = max(0, round((start - _WORD_MARGIN) / frame_seconds))
                    last = max(first + 1, round((end + _WORD_MARGIN) / frame_seconds))
                    found.append((min(first, int(count)), min(last, int(count)), letters[letters > 0]))
        yield from ((row, first, last, letters) for first, last, letters in found if last - first >= len(letters))


def pretext_loss(
    output: Output,
    batch: Mapping[str, torch.Tensor],
    frame_seconds: float,
    *,
    per_word: bool,
    counts: bool,
    prior_weight: float = 0.0,
    whole: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """What transcripts teach, on a batch of `pipeline.training.examples.Collator`: spelling where the model spells, and
    counting where it only counts or `counts` asks for it.

    Where `batch` is a share of a larger one, `whole` holds the sum of all shares' `pretext_sums`, and the losses of
    all shares add up to that of the larger batch.
    """
    loss = output.logits.new_zeros(())
    if counts or output.spelling is None:
        known_counts = batch["spans"], batch["span_counts"], batch["clip_counts"]
        loss = loss + marker_loss(output.intensity, *known_counts, frame_seconds, per_word=per_word, whole=whole)
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
            whole=whole,
        )
    return loss


def pretext_sums(
    batch: Mapping[str, torch.Tensor],
    frames: torch.Tensor,
    frame_seconds: float,
    *,
    per_word: bool,
    counts: bool,
    spells: bool,
) -> dict[str, torch.Tensor]:
    """What `pretext_loss` takes its means over, known before anything is computed; `frames` (batch,) are each clip's.

    With label priors a `spelling_mass` belongs to it, which the model must compute.
    """
    sums = {_CLIPS: known(batch["clip_counts"]), _WORDS: known(batch["span_counts"])} if counts or not spells else {}
    if spells:
        spelled = batch["spans"], batch["span_letters"], batch["clip_letters"]
        sums[_PIECES] = torch.tensor(sum(1 for _ in _pieces(frames, *spelled, frame_seconds, per_word=per_word)))
    return sums


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

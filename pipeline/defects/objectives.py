"""What each training of the defect model minimises, on a whole batch or on a share of one.

`sums` says what an objective takes its means over in some clips. Added up over all shares of a batch it is the `whole`
that each share's loss needs, so that the losses of the shares add up to the loss of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from pipeline.defects.losses import pretext_loss, pretext_sums, share, spelling_mass
from speech.defects.model import Output

Tensors = Mapping[str, torch.Tensor]
_LABELS = "weight of the labels"


class Objective(Protocol):
    """A loss whose shares add up."""

    def sums(self, batch: Tensors, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of the clips of a batch, whose `frames` (batch,) are given: what is known before anything is computed."""
        ...

    def heard(self, output: Output) -> dict[str, torch.Tensor]:
        """Of the clips of a batch: what the model must compute first. Empty where nothing is needed."""
        ...

    @property
    def listens(self) -> bool:
        """Whether `heard` gives anything."""
        ...

    def __call__(self, output: Output, batch: Tensors, whole: Tensors | None) -> torch.Tensor:
        """The loss; `whole` is None where the batch is no share of another."""
        ...


@dataclass(frozen=True)
class Transcribed:
    """What transcripts teach. Fields are as in `pipeline.defects.losses.pretext_loss`; `spells`: the model does."""

    frame_seconds: float
    per_word: bool
    counts: bool
    spells: bool
    prior_weight: float = 0.0

    @property
    def listens(self) -> bool:
        return self.spells and self.prior_weight > 0

    def sums(self, batch: Tensors, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        how = {"per_word": self.per_word, "counts": self.counts, "spells": self.spells}
        return pretext_sums(batch, frames, self.frame_seconds, **how)

    def heard(self, output: Output) -> dict[str, torch.Tensor]:
        if not self.listens or output.spelling is None:
            return {}
        return spelling_mass(output.spelling, output.mask.sum(1))

    def __call__(self, output: Output, batch: Tensors, whole: Tensors | None) -> torch.Tensor:
        return pretext_loss(
            output,
            batch,
            self.frame_seconds,
            per_word=self.per_word,
            counts=self.counts,
            prior_weight=self.prior_weight,
            whole=whole,
        )


@dataclass(frozen=True)
class Labelled:
    """What labels teach: `loss` of logits and labels for each pair of heads, a mean over what `weight` of the labels
    gives; `beside` it what transcripts teach, times `beside_weight`."""

    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    weight: Callable[[torch.Tensor], torch.Tensor]
    beside: Transcribed | None = None
    beside_weight: float = 0.0

    @property
    def listens(self) -> bool:
        return self.beside is not None and self.beside.listens

    def sums(self, batch: Tensors, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        return {_LABELS: self.weight(batch["labels"])} | (self.beside.sums(batch, frames) if self.beside else {})

    def heard(self, output: Output) -> dict[str, torch.Tensor]:
        return self.beside.heard(output) if self.beside is not None else {}

    def __call__(self, output: Output, batch: Tensors, whole: Tensors | None) -> torch.Tensor:
        # Each pair learns by itself: their mistakes differ, and so cancel out.
        loss = torch.stack([self.loss(logits, batch["labels"]) for logits in output.members]).mean()
        loss = share(loss, self.weight(batch["labels"]), whole, _LABELS)
        if self.beside is not None:
            loss = loss + self.beside_weight * self.beside(output, batch, whole)
        return loss

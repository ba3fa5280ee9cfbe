"""Counts that add up: one factor per marker letter, so that predicted and transcribed totals agree.

Word by word the marker head learns from unsure clips too, in which Whisper lost letters; its clip totals then come out
low. For Poisson counts the factor of greatest likelihood is the ratio of the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from pipeline.training.examples import Example
from speech.defects.diagnose import diagnose
from speech.defects.model import DefectModel

_LEAST, _MOST = 0.2, 5.0  # beyond these the head has learned nothing that a factor could mend


Count = Callable[[list[Example]], Iterable[list[float]]]


def scale_counts(model: DefectModel, examples: Sequence[Example], count: Count | None = None) -> None:
    """Set `model.count_scale` from the examples whose clip counts are known; without any it stays as it is.

    `count` gives what the model counts in each of some examples, where that need not be heard again. The gate and the
    defect logits do not depend on the scale. Leaves the model in evaluation mode.
    """
    model.eval()
    model.count_scale.fill_(1.0)
    known = [example for example in examples if example.counts is not None]
    counted = torch.zeros(len(model.spec.letters), dtype=torch.float64)
    predicted = torch.zeros_like(counted)
    for example, said in zip(known, count(known) if count else _diagnosed(model, known), strict=True):
        counted += torch.tensor(example.counts)
        predicted += torch.tensor(said)
    if counted.sum() > 0:
        model.count_scale.copy_((counted / predicted.clamp(min=1e-6)).clamp(_LEAST, _MOST))


def _diagnosed(model: DefectModel, examples: list[Example]) -> Iterator[list[float]]:
    for example in examples:
        (answer,) = diagnose(model, [example.load()])
        yield [answer.markers[letter] for letter in model.spec.letters]

"""What training minimises and chooses by where a clip may have several defects at once: a binary decision per defect.

The logit of speech without a defect takes no part; that class is there where no defect is.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn

_LEAST_COUNT = 1e-6
_LARGEST_WEIGHT = 20.0  # of a positive: beyond it, a handful of clips would make the steps


def multilabel_loss(
    logits: torch.Tensor, labels: torch.Tensor, positive_weights: torch.Tensor, reference: int
) -> torch.Tensor:
    """Binary cross entropy per defect, mean over labelled clips and defects; zero where no clip is labelled.

    `logits` and `labels` are (batch, classes); a label is 1 for each class that a clip has and 0 for the others, below
    zero throughout in unlabelled clips. `positive_weights` (classes,) multiply the loss of present defects,
    `reference` is the class without a defect.
    """
    labelled = (labels >= 0).all(1)
    if not bool(labelled.any()):
        return logits.sum() * 0.0
    defects = [index for index in range(logits.shape[1]) if index != reference]
    return nn.functional.binary_cross_entropy_with_logits(
        logits[labelled][:, defects].float(),
        labels[labelled][:, defects].float(),
        pos_weight=positive_weights[defects].to(logits.device),
    )


def positive_weights(counts: torch.Tensor, clips: int) -> torch.Tensor:
    """Per class how many clips lack it for each that has it, so that both sides weigh the same; 1 where none has it.

    `counts` (classes,) says how many of so many `clips` have each class; expected ones may be fractions.
    """
    weights = ((clips - counts) / counts.clamp(min=_LEAST_COUNT)).clamp(max=_LARGEST_WEIGHT)
    return torch.where(counts > 0, weights, torch.ones_like(weights))


def validation_macro_f1(logits: np.ndarray, labels: np.ndarray, reference: int) -> float:
    """Macro-F1 over all classes of a validation pass, both (clips, classes); a defect is said where its logit is
    positive, `reference` where none is. Unlabelled clips are left out."""
    labelled = (labels >= 0).all(1)
    said = logits[labelled] > 0
    said[:, reference] = False
    said[:, reference] = ~said.any(1)
    truth = labels[labelled].astype(int)
    return float(f1_score(truth, said.astype(int), average="macro", zero_division=0.0))

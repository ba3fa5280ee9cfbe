"""The optimiser of a training: which parameters learn how fast, and which decay."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.training.settings import TrainingSettings
from pipeline.training.tasks import Task


def adamw(task: Task, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW over the parameters that may learn; the encoder's at a rate of their own."""
    kinds: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in task.model.named_parameters():
        if parameter.requires_grad:
            rate = settings.learning_rate if name.startswith(task.encoder) else settings.head_learning_rate
            decay = settings.weight_decay if _decays(name, parameter) else 0.0
            kinds.setdefault((rate, decay), []).append(parameter)
    groups = [{"params": of, "lr": rate, "weight_decay": decay} for (rate, decay), of in kinds.items()]
    return torch.optim.AdamW(groups, fused=True)


def _decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a matrix or a filter. Biases, gains of norms and magnitudes of weight norms shift and
    scale whole features: decay would draw them to zero against the data and prevents no overfitting."""
    return parameter.ndim > 1 and not name.endswith(("parametrizations.weight.original0", "weight_g"))

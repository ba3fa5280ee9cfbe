"""In which order an epoch takes its clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler


class EpochOrder(LengthGroupedSampler):
    """Clips of like length share a batch: less padding, and padding costs as much as sound.

    Every epoch has an order of its own, which follows from `seed` and the epoch alone: a training that goes on in an
    epoch takes the clips as if it had never been killed.
    """

    def __init__(self, batch_size: int, lengths: Sequence[int], seed: int) -> None:
        super().__init__(batch_size, lengths=list(lengths))
        self._seed, self._epoch = seed, 0
        self._drawn = 0  # orders that the generator has given
        self.generator = torch.Generator().manual_seed(seed)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of that epoch, from 0."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self._drawn > self._epoch:
            self.generator.manual_seed(self._seed)
            self._drawn = 0
        while True:
            order: Iterator[int] = super().__iter__()
            self._drawn += 1
            if self._drawn > self._epoch:
                return order

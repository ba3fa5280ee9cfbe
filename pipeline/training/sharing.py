"""Several processes train one model: each computes its share of every batch, and sums stand for the whole.

Launched by `pipeline.training.devices`; in a process alone everything here does nothing. Gradients are added up once
a step, after all of it was computed, and not while it is (as DistributedDataParallel does): a process that runs out of
memory can then compute its share again in smaller parts while the others wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import nn
from torch.utils.data import BatchSampler, Sampler

from pipeline.progress import Report

_PATIENCE = timedelta(days=1)  # for a process that has more to do; one that dies is seen by the launcher at once
_BUCKET_BYTES = 64 << 20  # gradients that travel together


def join(*, use_cpu: bool) -> None:
    """Meet the processes that were launched with this one; each takes a GPU of its own, or the CPU."""
    PartialState(cpu=use_cpu, timeout=_PATIENCE)


def processes() -> int:
    """How many processes train together; 1 in a process alone."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def first_says(report: Report) -> Report:
    """Where all processes would say the same, the first one says it."""
    return report if rank() == 0 else lambda line: None


class Shares(Sampler[list[int]]):
    """Batches of `batch_size` indices of a sampler, of each of which this process takes its share: every n-th.

    The share of a last, short batch may be empty. `ahead` batches are told to `expect` before they are asked for.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int, expect: Any = None, ahead: int = 0) -> None:
        self._batches = BatchSampler(sampler, batch_size, drop_last=False)
        self._expect, self._ahead = expect, ahead if expect is not None else 0

    def __len__(self) -> int:
        return len(self._batches)

    def set_epoch(self, epoch: int) -> None:
        """Take the sampler's order of that epoch, where it has one for each."""
        if hasattr(self._batches.sampler, "set_epoch"):
            self._batches.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        waiting: list[list[int]] = []
        for batch in self._batches:
            share = batch[rank() :: processes()]
            if self._ahead:
                self._expect(share)
            waiting.append(share)
            if len(waiting) > self._ahead:
                yield waiting.pop(0)
        yield from waiting


def summed(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by name added up over the processes; a process may lack some, as one with an empty share does."""
    if processes() == 1:
        return values
    sums: dict[str, torch.Tensor] = {}
    for share in gathered({name: value.cpu() for name, value in values.items()}):
        for name, value in share.items():
            sums[name] = sums[name] + value if name in sums else value
    return sums


def sum_gradients(model: nn.Module) -> None:
    """Add up the gradients of all processes; a parameter that one of them did not use counts as zero there."""
    if processes() == 1:
        return
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not learning:
        return
    used = torch.tensor([float(p.grad is not None) for p in learning], device=learning[0].device)
    dist.all_reduce(used)
    gradients = []
    for parameter, count in zip(learning, used.tolist(), strict=True):
        if count:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        dist.all_reduce(flat)
        for gradient, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            gradient.copy_(part.view_as(gradient))


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    bucket: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        held = tensor.numel() * tensor.element_size()
        if bucket and (size + held > _BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += held
    if bucket:
        yield bucket


def start_alike(model: nn.Module) -> None:
    """Give every process the weights of the first."""
    if processes() > 1:
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.data, 0)


def gathered(value: Any) -> list[Any]:
    """What each process gives, in their order; tensors must be on the CPU."""
    if processes() == 1:
        return [value]
    values: list[Any] = [None] * processes()
    dist.all_gather_object(values, value)
    return values


def wait() -> None:
    """Until every process is here."""
    if processes() > 1:
        dist.barrier()

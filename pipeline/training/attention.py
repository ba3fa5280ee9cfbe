"""Which attention is quicker to train on a processor: torch's fused kernel has no quick backward pass in bf16 there,
and takes up to six times as long for short clips as the same sums written out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel

WRITTEN_OUT = "eager"  # transformers' name of it
FRAMES_A_SECOND = 50.0  # of wav2vec 2.0; other encoders of sound make no more of them
_MOST_BYTES = 2**30  # of the frames' weights on each other, which attention that is written out keeps for its gradients
_KEPT, _BYTES = 2, 2  # scores and what softmax makes of them, in bf16


@contextmanager
def written_out(model: nn.Module, seconds: float, batch: int) -> Iterator[None]:
    """The attention of every transformer within `model` written out while this lasts, where `batch` clips of up to
    `seconds` leave room for it."""
    changed: list[tuple[PreTrainedModel, str]] = []
    try:
        for part in model.modules():
            if isinstance(part, PreTrainedModel) and _kept_bytes(part, seconds, batch) <= _MOST_BYTES:
                before = part.config._attn_implementation
                if before != WRITTEN_OUT:
                    part.set_attn_implementation(WRITTEN_OUT)
                    changed.append((part, before))
        yield
    finally:
        for part, before in reversed(changed):
            part.set_attn_implementation(before)


def _kept_bytes(part: PreTrainedModel, seconds: float, batch: int) -> float:
    config = part.config
    frames = getattr(config, "max_source_positions", None) or seconds * FRAMES_A_SECOND  # Whisper pads to its most
    return _KEPT * _BYTES * batch * config.num_hidden_layers * config.num_attention_heads * frames**2

"""How much memory a training step wants, and the way to want less: computing layers twice instead of keeping them.

The figures are measured on wav2vec 2.0's layers (`bench/tensor_bytes.py`; `tests/pipeline/training/test_memory.py`
holds them to it): bytes that a layer keeps of each frame for its gradients. A GPU's fused attention keeps no frame's
weights on the others; a CPU's does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from pipeline.settings import Precision
from pipeline.training.attention import FRAMES_A_SECOND
from pipeline.training.hardware import in_gib
from pipeline.training.settings import TrainingSettings
from speech.hardware.devices import Hardware

_USABLE = 0.9  # of a card; the rest is the driver's, the allocator's gaps and what kernels work in
_FLOAT, _ADAMW = 4, 8  # bytes a parameter: itself or its gradient; AdamW's two moments
# Bytes a frame: times the size of a layer; times that of its inner layer, and again where that drops some; times heads
# and frames where attention keeps its weights. In bf16 and fp16 half of what a layer keeps stays fp32.
_IN_FP32, _IN_HALF = (41, 8, 4, 14), (21, 4, 2, 15)
_STATES = 8  # times the size: what leaves each layer, and again in one tensor for the heads
_HEADS, _EACH_HEAD = 14, 28  # times the size: what the heads keep, and each pair of them
_CONVOLUTION = 12  # a frame and channel of the front end, where it learns


@dataclass(frozen=True)
class Shape:
    """What of a model decides how much memory its training wants; `parameters`, of which `learning` learn."""

    parameters: int
    learning: int
    layers: int
    size: int
    inner: int
    heads: int
    pairs: int = 1
    inner_drops: bool = False
    front_end: float = 0.0  # channels of its layers a second of sound, where it learns


@dataclass(frozen=True)
class Estimate:
    """Bytes of tensors that are alive at once in a training step."""

    weights: float
    gradients: float
    optimiser: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimiser + self.activations


def shape_of(model: nn.Module) -> Shape | None:
    """The shape of a model with a transformer in it; None where there is none of a known kind."""
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    config = next((p.config for p in parts if hasattr(p.config, "num_hidden_layers")), None)
    if config is None:
        return None
    front, learns = 0.0, getattr(parts[-1], "feature_extractor", None)
    if learns is not None and any(p.requires_grad for p in learns.parameters()):
        rate = 16_000.0
        for channels, stride in zip(config.conv_dim, config.conv_stride, strict=True):
            rate /= stride
            front += rate * channels
    size = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", 0) or getattr(config, "encoder_ffn_dim", 4 * size))
    return Shape(
        parameters=sum(p.numel() for p in model.parameters()),
        learning=sum(p.numel() for p in model.parameters() if p.requires_grad),
        layers=int(config.num_hidden_layers),
        size=size,
        inner=inner,
        heads=int(config.num_attention_heads),
        pairs=len(getattr(model, "heads", [None])),
        inner_drops=getattr(config, "activation_dropout", 0.0) > 0,
        front_end=front,
    )


def estimate(
    shape: Shape, clips: int, seconds: float, computed_in: Precision, *, checkpointed: bool, fused: bool
) -> Estimate:
    """Bytes for a step on `clips` of `seconds` each. `fused`: attention keeps no weights, as on a GPU.

    With `checkpointed` layers only what enters each is kept, and all of one of them while it is computed again.
    """
    half = computed_in is not Precision.fp32
    of_size, of_inner, of_dropped, of_weights = _IN_HALF if half else _IN_FP32
    frames = seconds * FRAMES_A_SECOND
    layer: float = of_size * shape.size + (of_inner + of_dropped * shape.inner_drops) * shape.inner
    layer += 0 if fused else of_weights * shape.heads * frames
    layers = layer * (1 if checkpointed else shape.layers) + _STATES * shape.size * (shape.layers + 1)
    heads = (_HEADS + _EACH_HEAD * shape.pairs) * shape.size
    kept = clips * (frames * (layers + heads) + seconds * shape.front_end * _CONVOLUTION)
    copies = 2 * shape.learning / (shape.layers if checkpointed else 1) if half else 0  # of weights, in bf16 or fp16
    return Estimate(
        weights=_FLOAT * shape.parameters,
        gradients=_FLOAT * shape.learning,
        optimiser=_ADAMW * shape.learning,
        activations=kept + copies,
    )


def checkpoints_layers(
    settings: TrainingSettings, model: nn.Module, seconds: float | None, computed_in: Precision, hardware: Hardware
) -> tuple[bool, str]:
    """Whether to compute layers twice, and why, for the log: as asked for; by itself on a GPU that a process's share of
    a batch of clips of `seconds` would fill. `seconds` is None where the encoder computes nothing."""
    if settings.gradient_checkpointing is not None:
        return settings.gradient_checkpointing and seconds is not None, ""
    shape = shape_of(model)
    if hardware.memory_bytes is None or seconds is None or shape is None:
        return False, ""
    share = -(-settings.batch_size // settings.devices)
    needed = estimate(shape, share, seconds, computed_in, checkpointed=False, fused=True).total
    if needed <= _USABLE * hardware.memory_bytes:
        return False, ""
    less = estimate(shape, share, seconds, computed_in, checkpointed=True, fused=True).total
    return True, (
        f"a step wants about {in_gib(needed)}, the GPU has {in_gib(hardware.memory_bytes)}: layers are computed twice, "
        f"which takes a third longer and wants about {in_gib(less)} (gradient_checkpointing)"
    )


@contextmanager
def layers_twice(model: nn.Module) -> Iterator[None]:
    """Gradient checkpointing of every transformer within `model` while this lasts."""
    changed = [
        part
        for part in model.modules()
        if isinstance(part, PreTrainedModel)
        and part.supports_gradient_checkpointing
        and not part.is_gradient_checkpointing
    ]
    try:
        for part in changed:
            part.gradient_checkpointing_enable({"use_reentrant": False})
        yield
    finally:
        for part in changed:
            part.gradient_checkpointing_disable()

"""Layers of an encoder in eight bits: what is computed, and with which scales.

A tensor x becomes bytes x / step + zero, with a step that its largest value decides:

    weights             a step per output
    rows of a linear    a step per row, so that a loud moment does not make a quiet one coarse
    convolution         one step per clip, because its rows overlap

oneDNN's kernel multiplies bytes and adds them up as integers. The product is then scaled back to fp32.
"""

from __future__ import annotations

import math
import threading

import torch
from torch import nn

_SILENCE = 1e-12  # a row whose largest value is below this is silent
_MIDDLE = 128  # of unsigned bytes


class _Weights:
    """Weights (out, in) as signed bytes, packed for the kernel, and the product with them."""

    def __init__(self, weight: torch.Tensor) -> None:
        self._scale = weight.abs().amax(1).clamp(min=_SILENCE) / 127
        self._packed = torch.ops.onednn.qlinear_prepack(_rounded(weight / self._scale[:, None]).to(torch.int8), None)
        self._zero = torch.zeros(len(weight), dtype=torch.int32)

    def __call__(self, rows: torch.Tensor, scale: float, zero: int, bias: torch.Tensor | None) -> torch.Tensor:
        """(rows, in) of unsigned bytes to (rows, out) in fp32. A byte b stands for (b - `zero`) * `scale`."""
        product: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, scale, zero, self._packed, self._scale, self._zero, bias, 1.0, 0, torch.float32, "none", [], ""
        )
        return product


def _rounded(values: torch.Tensor) -> torch.Tensor:
    """Whole numbers near values (out, in), such that the sum of each row changes by one half at most.

    The inputs are seldom zero on average, least of all after a GELU. Rounding errors that do not cancel then shift an
    output at every moment alike, which changes the answers four times as much as the other errors. So as many numbers
    as needed are rounded the other way: those that were nearest to it.
    """
    whole = values.round()
    error = values - whole
    lacking = error.sum(1, keepdim=True).round()
    count = int(lacking.abs().max())
    if count == 0:
        return whole
    nearest = (error * lacking.sign()).topk(count, 1).indices
    wanted = torch.arange(count, device=values.device) < lacking.abs()
    return whole.scatter_add_(1, nearest, wanted * lacking.sign()).clamp_(-127, 127)


def _bytes(signed: torch.Tensor) -> torch.Tensor:
    """Values from -128 to 127, rounded in place, as unsigned bytes from 0 to 255.

    The kernel takes unsigned bytes alone. torch converts to signed ones three times as fast, so the sign bit is flipped
    after that.
    """
    return signed.round_().to(torch.int8).view(torch.uint8).bitwise_xor_(_MIDDLE)


class Int8Linear(nn.Module):
    """`torch.nn.Linear` in eight bits."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self._weights, self._bias, self._size = _Weights(weight), bias, len(weight)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        rows = given.reshape(-1, given.shape[-1])
        largest = torch.maximum(rows.amax(1, keepdim=True), -rows.amin(1, keepdim=True)).clamp_(min=_SILENCE)
        step = largest / 127
        product = self._weights(_bytes(rows * step.reciprocal()), 1.0, _MIDDLE, None)
        out = product.mul_(step) if self._bias is None else torch.addcmul(self._bias, product, step)
        return out.view(*given.shape[:-1], self._size)


class _Memory(threading.local):
    """What one thread has computed, since several may compute at once."""

    def __init__(self) -> None:
        self.given: torch.Tensor | None = None
        self.left: dict[int, torch.Tensor] = {}  # outputs that their layers have not asked for yet, by number


class _Together:
    """Linear layers of one input, which are computed as one when the first of them is asked."""

    def __init__(self, layers: list[nn.Linear]) -> None:
        biases: list[torch.Tensor] = [
            torch.zeros(layer.out_features) if layer.bias is None else layer.bias for layer in layers
        ]
        self._layer = Int8Linear(torch.cat([layer.weight for layer in layers]), torch.cat(biases))
        self._sizes = [layer.out_features for layer in layers]
        self._memory = _Memory()

    def output(self, number: int, given: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out) of the layer `number`."""
        memory = self._memory
        if memory.given is not given or number not in memory.left:
            memory.given = given
            memory.left = dict(enumerate(self._layer(given).split(self._sizes, -1)))
        output = memory.left.pop(number)
        if not memory.left:
            memory.given = None  # nothing outlives the clip it was computed of
        return output


class _Part(nn.Module):
    """One of the layers of a `_Together`."""

    def __init__(self, together: _Together, number: int) -> None:
        super().__init__()
        self._together, self._number = together, number

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        return self._together.output(self._number, given)


def joined(layers: list[nn.Linear]) -> list[nn.Module]:
    """Linear layers of one input in eight bits: one product instead of one each."""
    together = _Together(layers)
    return [_Part(together, number) for number in range(len(layers))]


class Int8Convolution(nn.Module):
    """`torch.nn.Conv1d` in eight bits: a product of overlapping windows, channels last."""

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        self._kernel, self._stride = layer.kernel_size[0], layer.stride[0]
        self._groups, self._padding = layer.groups, int(layer.padding[0])
        weight = layer.weight.detach()
        self._bias = None if layer.bias is None else layer.bias.detach()
        self._weights = [_Weights(part.permute(0, 2, 1).reshape(len(part), -1)) for part in weight.chunk(self._groups)]

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """(batch, channels, time) to (batch, channels, frames), of which channels lie next to each other in memory."""
        return torch.stack([self._clip(clip) for clip in given.transpose(1, 2)]).transpose(1, 2)

    def _clip(self, clip: torch.Tensor) -> torch.Tensor:
        """(time, channels) to (frames, channels)."""
        values, step, zero = self._quantised(clip)
        rows = self._windows(values)
        parts = [weights(each, step, zero, None) for weights, each in zip(self._weights, rows, strict=True)]
        out = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        return out if self._bias is None else out.add_(self._bias)

    def _quantised(self, clip: torch.Tensor) -> tuple[torch.Tensor, float, int]:
        """A clip as bytes, padded; what a step of them stands for, and the byte that stands for 0."""
        low, high = (float(edge) for edge in torch.aminmax(clip))
        low, high = min(low, 0.0), max(high, 0.0)
        step = max((high - low) / 254, _SILENCE)  # one less than there are, as 0 has a step of its own
        zero = round(-low / step) if low > -math.inf else 0
        values = _bytes(torch.add(torch.tensor(float(zero - _MIDDLE)), clip, alpha=1 / step))
        if self._padding:
            values = nn.functional.pad(values, (0, 0, self._padding, self._padding), value=zero)
        return values, step, zero

    def _windows(self, values: torch.Tensor) -> list[torch.Tensor]:
        """(time, channels) of bytes to the windows (frames, kernel * channels) of each group of channels."""
        channels = values.shape[1] // self._groups
        grouped = values.view(-1, self._groups, channels).transpose(0, 1).contiguous()
        frames = (grouped.shape[1] - self._kernel) // self._stride + 1
        shape, strides = (frames, self._kernel * channels), (self._stride * channels, 1)
        return [group.as_strided(shape, strides, group.storage_offset()).contiguous() for group in grouped]


class FirstConvolution(nn.Module):
    """The convolution of the samples themselves, in fp32.

    As a product of windows, its output has channels next to each other in memory, which the norm after it needs.
    """

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        self._kernel, self._stride = layer.kernel_size[0], layer.stride[0]
        self._weight = layer.weight.detach()[:, 0].t().contiguous()
        self._bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """(batch, 1, time) to (batch, channels, frames)."""
        out = given[:, 0].unfold(-1, self._kernel, self._stride) @ self._weight
        return (out if self._bias is None else out.add_(self._bias)).transpose(1, 2)

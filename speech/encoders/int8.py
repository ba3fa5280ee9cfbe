"""An encoder's linear layers and convolutions in eight bits, for inference on a CPU.

Weights have a scale per output. What comes in has one per row, so that a loud moment does not make a quiet one coarse;
in convolutions, whose rows overlap, one per piece of sound. oneDNN adds the products up as integers, which takes a
quarter of the time of fp32 where the processor has VNNI.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Container, Iterator

import torch
from torch import nn

_PROJECTIONS = ("q_proj", "k_proj", "v_proj")
_SILENCE = 1e-12  # a row whose largest value is below this is silent
_MIDDLE = 128  # of unsigned bytes
# A front end's convolution of less than this share of its products stays in fp32: of a 95 M wav2vec 2.0 the last two,
# which take no measurable time and are four fifths of what the answers of eight bits differ by.
_LIGHT = 0.03


class _Weights:
    """Weights (out, in) as signed bytes, packed for the kernel; a bias is added after."""

    def __init__(self, weight: torch.Tensor) -> None:
        self._scale = weight.abs().amax(1).clamp(min=_SILENCE) / 127
        self._packed = torch.ops.onednn.qlinear_prepack(_rounded(weight / self._scale[:, None]).to(torch.int8), None)
        self._zero = torch.zeros(len(weight), dtype=torch.int32)

    def __call__(self, rows: torch.Tensor, scale: float, zero: int, bias: torch.Tensor | None) -> torch.Tensor:
        """rows (rows, in) of unsigned bytes, of which `zero` stands for 0 and a step for `scale`, to (rows, out)."""
        product: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, scale, zero, self._packed, self._scale, self._zero, bias, 1.0, 0, torch.float32, "none", [], ""
        )
        return product


def _rounded(values: torch.Tensor) -> torch.Tensor:
    """Whole numbers near values (out, in), each row's sum kept to within one half.

    What comes in is seldom zero on average, after a GELU least of all, so errors of rounding that do not cancel shift
    an output at every moment alike: four times what the others do to the answers. As many numbers as it takes are
    therefore rounded the other way, those that were nearest to it.
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
    """Values from -128 to 127, rounded in place, as unsigned bytes above `_MIDDLE`: torch converts to signed ones three
    times as fast, and the kernel takes no signed ones."""
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


class _Own(threading.local):
    """What one thread has made of what it was given: several may compute at once."""

    def __init__(self) -> None:
        self.given: torch.Tensor | None = None
        self.made: dict[int, torch.Tensor] = {}


class _Together:
    """Linear layers that are given the same: computed at once when the first of them is asked."""

    def __init__(self, layers: list[nn.Linear]) -> None:
        biases: list[torch.Tensor] = [
            torch.zeros(layer.out_features) if layer.bias is None else layer.bias for layer in layers
        ]
        self._layer = Int8Linear(torch.cat([layer.weight for layer in layers]), torch.cat(biases))
        self._sizes = [layer.out_features for layer in layers]
        self._own = _Own()

    def of(self, number: int, given: torch.Tensor) -> torch.Tensor:
        """What layer `number` makes of `given`."""
        own = self._own
        if own.given is not given or number not in own.made:
            own.given = given
            own.made = dict(enumerate(self._layer(given).split(self._sizes, -1)))
        made = own.made.pop(number)
        if not own.made:
            own.given = None  # nothing outlives the clip it was made of
        return made


class _Part(nn.Module):
    def __init__(self, together: _Together, number: int) -> None:
        super().__init__()
        self._together, self._number = together, number

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self._together.of(self._number, given)


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
        low, high = (float(edge) for edge in torch.aminmax(clip))
        low, high = min(low, 0.0), max(high, 0.0)
        step = max((high - low) / 254, _SILENCE)  # one less than there are, as 0 has a step of its own
        zero = round(-low / step) if low > -math.inf else 0
        bytes_ = _bytes(torch.add(torch.tensor(float(zero - _MIDDLE)), clip, alpha=1 / step))
        if self._padding:
            bytes_ = nn.functional.pad(bytes_, (0, 0, self._padding, self._padding), value=zero)
        channels = clip.shape[1] // self._groups
        grouped = bytes_.view(-1, self._groups, channels).transpose(0, 1).contiguous()
        frames = (grouped.shape[1] - self._kernel) // self._stride + 1
        shape, strides = (frames, self._kernel * channels), (self._stride * channels, 1)
        windows = [group.as_strided(shape, strides, group.storage_offset()).contiguous() for group in grouped]
        made = [weights(rows, step, zero, None) for weights, rows in zip(self._weights, windows, strict=True)]
        out = made[0] if len(made) == 1 else torch.cat(made, 1)
        return out if self._bias is None else out.add_(self._bias)


class _FirstConvolution(nn.Module):
    """A convolution of sound itself, in fp32: a product of windows leaves channels where the norm wants them."""

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        self._kernel, self._stride = layer.kernel_size[0], layer.stride[0]
        self._weight = layer.weight.detach()[:, 0].t().contiguous()
        self._bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """(batch, 1, time) to (batch, channels, frames)."""
        out = given[:, 0].unfold(-1, self._kernel, self._stride) @ self._weight
        return (out if self._bias is None else out.add_(self._bias)).transpose(1, 2)


def in_int8(encoder: nn.Module, *, convolutions: bool = True) -> nn.Module:
    """An encoder like this one, with its layers in eight bits; all else is shared with it.

    `convolutions` false leaves these in fp32, as light ones of the front end always are. Raises RuntimeError where this
    build of torch has no such kernels.
    """
    kept = {id(tensor): tensor for tensor in (*encoder.parameters(), *encoder.buffers())}
    made = copy.deepcopy(encoder, kept)
    heavy: Container[nn.Module] = ()
    if convolutions:
        heavy = {layer for layer in made.modules() if isinstance(layer, nn.Conv1d)} - _light(made)
    for parent in list(made.modules()):
        if not hasattr(parent, "torch_multi_head_self_attention"):  # WavLM's reads its layers' weights itself
            for name, layer in _replaced(parent, heavy):
                setattr(parent, name, layer)
    return made


def _light(encoder: nn.Module) -> set[nn.Conv1d]:
    """The convolutions of a front end that hardly anything is gained from."""
    front_end = getattr(encoder, "feature_extractor", None)
    rate, products = 1.0, {}
    for layer in getattr(front_end, "conv_layers", ()):
        rate /= layer.conv.stride[0]
        if layer.conv.in_channels > 1:  # the first is never in eight bits, whatever it takes
            products[layer.conv] = rate * layer.conv.weight.numel()
    return {layer for layer, count in products.items() if count < _LIGHT * sum(products.values())}


def _replaced(parent: nn.Module, heavy: Container[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a module that change, by name, and what takes their place; of convolutions the `heavy` ones."""
    children = dict(parent.named_children())
    projections = [layer for name in _PROJECTIONS if type(layer := children.get(name)) is nn.Linear]
    if len(projections) == len(_PROJECTIONS) and len({layer.in_features for layer in projections}) == 1:
        together = _Together(projections)
        for number, name in enumerate(_PROJECTIONS):
            yield name, _Part(together, number)
            children.pop(name)
    for name, layer in children.items():
        if type(layer) is nn.Linear:
            yield name, Int8Linear(layer.weight.detach(), None if layer.bias is None else layer.bias.detach())
        elif layer in heavy and isinstance(layer, nn.Conv1d) and _plain(layer):
            make: Callable[[nn.Conv1d], nn.Module] = _FirstConvolution if layer.in_channels == 1 else Int8Convolution
            yield name, make(layer)


def _plain(layer: nn.Conv1d) -> bool:
    """Whether a convolution is one that is known here."""
    alone = layer.in_channels != 1 or layer.padding == (0,)
    return layer.dilation == (1,) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str) and alone

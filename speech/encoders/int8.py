"""An encoder's linear layers and convolutions in eight bits, for inference on a CPU.

That takes a quarter of the time of fp32 where the processor has VNNI. `speech.encoders.int8_layers` computes; here it
is decided which layers change.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator

from torch import nn

from speech.encoders.int8_layers import FirstConvolution, Int8Convolution, Int8Linear, joined

_PROJECTIONS = ("q_proj", "k_proj", "v_proj")
# A front end's convolution with less than this share of its products stays in fp32. In a wav2vec 2.0 of 95 M those are
# the last two: they take no measurable time, and make four fifths of the difference between the answers of eight bits
# and of fp32.
_LIGHT = 0.03


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
    """The convolutions of a front end that cost next to nothing, by their products a second."""
    front_end = getattr(encoder, "feature_extractor", None)
    rate, products = 1.0, {}
    for layer in getattr(front_end, "conv_layers", ()):
        rate /= layer.conv.stride[0]
        if layer.conv.in_channels > 1:  # the first is never in eight bits, whatever it takes
            products[layer.conv] = rate * layer.conv.weight.numel()
    return {layer for layer, count in products.items() if count < _LIGHT * sum(products.values())}


def _replaced(parent: nn.Module, heavy: Container[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """The names of a module's layers that change, and their successors; of the convolutions only the `heavy` change."""
    children = dict(parent.named_children())
    projections = [layer for name in _PROJECTIONS if type(layer := children.get(name)) is nn.Linear]
    if len(projections) == len(_PROJECTIONS) and len({layer.in_features for layer in projections}) == 1:
        for name, layer in zip(_PROJECTIONS, joined(projections), strict=True):
            yield name, layer
            children.pop(name)
    for name, layer in children.items():
        if type(layer) is nn.Linear:
            yield name, Int8Linear(layer.weight.detach(), None if layer.bias is None else layer.bias.detach())
        elif layer in heavy and isinstance(layer, nn.Conv1d) and _plain(layer):
            make: Callable[[nn.Conv1d], nn.Module] = FirstConvolution if layer.in_channels == 1 else Int8Convolution
            yield name, make(layer)


def _plain(layer: nn.Conv1d) -> bool:
    """Whether a convolution has no features that `int8_layers` does not know."""
    alone = layer.in_channels != 1 or layer.padding == (0,)
    return layer.dilation == (1,) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str) and alone

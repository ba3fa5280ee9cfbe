"""The precisions an encoder can be computed in. Without torch: a bundle's configuration names them."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """`int8`: linear layers and convolutions in eight bits; `int8_linear`: the linear layers alone. `fp16` is for cards
    that have no bf16."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"
    int8_linear = "int8_linear"
    int8 = "int8"


OF_PROCESSORS = (Precision.bf16, Precision.int8_linear, Precision.int8)  # besides fp32
OF_CARDS = (Precision.bf16, Precision.fp16)  # the first that the hardware has and the bundle allows

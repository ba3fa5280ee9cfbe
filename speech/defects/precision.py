"""In which precision a model computes: the fastest that answers as fp32 does.

Whether it does is measured once, on test clips, and stands in the bundle. Which is the fastest depends on the
processor, so every service measures that for itself.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from speech.defects.agreement import Agreement, agree
from speech.defects.diagnose import diagnose
from speech.defects.model import DefectModel
from speech.defects.multilabel import AnyCalibration
from speech.encoders.int8 import in_int8
from speech.encoders.precision import OF_CARDS, OF_PROCESSORS, Precision
from speech.hardware.devices import Card, Hardware, read_hardware

log = logging.getLogger(__name__)

_HALVES = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


def in_precision(model: DefectModel, precision: Precision) -> DefectModel:
    """The model with its encoder in a precision, in evaluation mode; it shares heads, and what does not change, with
    `model`. Raises RuntimeError where torch cannot compute so on this machine."""
    if precision is Precision.fp32:
        return model
    made = copy.copy(model)
    made._modules = dict(model._modules)
    if precision in _HALVES:
        made.encoder = copy.deepcopy(model.encoder).to(_HALVES[precision])
    else:
        with torch.inference_mode():
            made.encoder = in_int8(model.encoder, convolutions=precision is Precision.int8)
    return made.eval()


def offered(model: DefectModel, read: Callable[[], Hardware] = read_hardware) -> tuple[Precision, ...]:
    """The precisions besides fp32 that a model can be computed in where it is; `read` tells what a card has."""
    if device_of(model) == "cpu":
        return _on_processor(model)
    return on_card(model, read().cards[0])


def device_of(model: DefectModel) -> str:
    """`cpu` or `cuda`: where the model is."""
    return next(model.parameters()).device.type


def _on_processor(model: DefectModel) -> tuple[Precision, ...]:
    possible = []
    for precision in OF_PROCESSORS:
        if precision in _HALVES and not takes_half(model):
            continue
        if precision not in _HALVES and not torch.backends.mkldnn.is_available():
            continue
        possible.append(precision)
    return tuple(possible)


def on_card(model: DefectModel, card: Card) -> tuple[Precision, ...]:
    """The precisions besides fp32 in which a card computes the model in hardware."""
    has = {Precision.bf16: card.bf16, Precision.fp16: card.fp16}
    return tuple(precision for precision in OF_CARDS if has[precision] and takes_half(model))


def takes_half(model: DefectModel) -> bool:
    """Whether the encoder can be computed in sixteen bits: Whisper's makes its own spectrogram, whose powers of ten do
    not fit into them."""
    return hasattr(model.encoder, "feature_extractor")


def agreements(
    model: DefectModel,
    clips: Iterable[np.ndarray],
    calibration: AnyCalibration,
    precisions: Sequence[Precision] | None = None,
) -> dict[Precision, Agreement]:
    """Each of `precisions`, or each that is offered, held against fp32 on clips of samples (n,).

    One that gives no finite values for a clip is left out, as nobody can say how it answers.
    """
    wanted = offered(model) if precisions is None else precisions
    models = {precision: in_precision(model, precision) for precision in wanted}
    said: dict[Precision, list[Sequence[float]]] = {precision: [] for precision in models}
    reference: list[Sequence[float]] = []
    for clip in clips:
        reference.append(diagnose(model, [clip], calibration)[0].probabilities)
        for precision in tuple(models):
            try:
                said[precision].append(diagnose(models[precision], [clip], calibration)[0].probabilities)
            except FloatingPointError:
                log.warning("%s gives values that are not finite, so it may not serve", precision)
                del models[precision]
    rows = {precision: _table(said[precision], model) for precision in models}
    return {
        precision: agree(_table(reference, model), table, exclusive=model.spec.exclusive)
        for precision, table in rows.items()
    }


def _table(probabilities: Sequence[Sequence[float]], model: DefectModel) -> np.ndarray:
    return np.array(probabilities).reshape(-1, len(model.spec.classes))

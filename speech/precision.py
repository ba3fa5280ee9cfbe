"""In which precision a model computes: the fastest that answers as fp32 does.

Whether it does is measured once, on test clips, and stands in the bundle. Which is the fastest depends on the
processor, so every service measures that for itself.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from speech.agreement import OTHERS, Agreement, Precision, agree
from speech.audio import SAMPLE_RATE
from speech.diagnose import diagnose
from speech.int8 import in_int8
from speech.model import DefectModel
from speech.multilabel import AnyCalibration

_PROBE_SECONDS = 4.0
_PROBES = 3


def in_precision(model: DefectModel, precision: Precision) -> DefectModel:
    """The model with its encoder in a precision, in evaluation mode; it shares heads, and what does not change, with
    `model`. Raises RuntimeError where torch cannot compute so on this machine."""
    if precision is Precision.fp32:
        return model
    made = copy.copy(model)
    made._modules = dict(model._modules)
    if precision is Precision.bf16:
        made.encoder = copy.deepcopy(model.encoder).to(torch.bfloat16)
    else:
        with torch.inference_mode():
            made.encoder = in_int8(model.encoder, convolutions=precision is Precision.int8)
    return made.eval()


def offered(model: DefectModel) -> tuple[Precision, ...]:
    """The precisions besides fp32 that a model can be computed in here."""
    if next(model.parameters()).device.type != "cpu":
        return ()
    possible = []
    for precision in OTHERS:
        # Whisper's encoder makes its own spectrogram, whose powers of ten eight bits of mantissa do not hold.
        if precision is Precision.bf16 and not hasattr(model.encoder, "feature_extractor"):
            continue
        if precision is not Precision.bf16 and not torch.backends.mkldnn.is_available():
            continue
        possible.append(precision)
    return tuple(possible)


def agreements(
    model: DefectModel, clips: Iterable[np.ndarray], calibration: AnyCalibration
) -> dict[Precision, Agreement]:
    """Each precision that is offered, held against fp32 on clips of samples (n,)."""
    models = {precision: in_precision(model, precision) for precision in (Precision.fp32, *offered(model))}
    said: dict[Precision, list[Sequence[float]]] = {precision: [] for precision in models}
    for clip in clips:
        for precision, computing in models.items():
            said[precision].append(diagnose(computing, [clip], calibration)[0].probabilities)
    arrays = {precision: np.array(rows).reshape(-1, len(model.spec.classes)) for precision, rows in said.items()}
    return {
        precision: agree(arrays[Precision.fp32], rows, exclusive=model.spec.exclusive)
        for precision, rows in arrays.items()
        if precision is not Precision.fp32
    }


def fastest(seconds: Mapping[Precision, float]) -> Precision:
    """The precision of fewest seconds."""
    return min(seconds, key=lambda precision: seconds[precision])


def probe(model: DefectModel) -> float:
    """Seconds that the model takes for a second of sound: the quickest of a few tries."""
    sound = 0.1 * np.random.default_rng(0).standard_normal(int(_PROBE_SECONDS * SAMPLE_RATE)).astype(np.float32)
    diagnose(model, [sound])
    tries = []
    for _ in range(_PROBES):
        began = time.perf_counter()
        diagnose(model, [sound])
        tries.append(time.perf_counter() - began)
    return min(tries) / _PROBE_SECONDS

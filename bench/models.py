"""Bundles of a wanted size with weights drawn at random: as heavy to serve as trained ones, and as unlike others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samples.make_mini import LABELS
from speech.bundles.defects import FORMAT, AgreementSection, AudioSection, BundleConfig, ModelSection, write_bundle
from speech.bundles.gate import Gate
from speech.defects.model import DefectModel
from speech.defects.multilabel import uncalibrated
from speech.defects.precision import agreements
from speech.defects.spec import ModelSpec
from speech.files import read_json, whole_folder
from speech.home import Home

_CONV = {
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "model_type": "wav2vec2",
}
SIZES: dict[str, dict[str, Any]] = {
    "small": read_json(Path(__file__).resolve().parent.parent / "encoders" / "small" / "config.json"),
    "95M": _CONV | {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "300M": _CONV
    | {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}
_SURE = 25.0  # random heads hardly prefer any class; this makes them prefer one, so that answers can differ
_FIGURES = {"precision": 0.9, "recall": 0.9, "f1": 0.9}  # pass the gate; nobody is diagnosed by these weights


def write_random_bundle(home: Home, bundle_id: str, size: str, seed: int = 0, heard: Sequence[np.ndarray] = ()) -> None:
    """Write a bundle of a wav2vec 2.0 of `size` below `home`, not published; it may serve in the precisions that agree
    with fp32 on the clips that it has `heard`, samples (n,) each."""
    torch.manual_seed(seed)
    spec = ModelSpec(SIZES[size], tuple(LABELS), ("р", "г"), (True, True, True, False), width=128)
    model = DefectModel(spec).eval()
    with torch.no_grad():
        for head in (model.marker_words, model.other_words):
            head.classes.weight.mul_(_SURE)
    config = BundleConfig(
        format=FORMAT,
        recipe="defects",
        id=bundle_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        language="ru",
        class_names={name: {"en": name} for name in spec.classes},
        audio=AudioSection(min_seconds=0.2, max_seconds=60.0),
        model=ModelSection(**spec.as_dict()),
        precisions={
            precision: AgreementSection(**agreement.as_dict())
            for precision, agreement in agreements(model, heard, uncalibrated(spec)).items()
        },
        gate=asdict(Gate()),
        lineage={},
    )
    metrics = {"macro_f1": 0.9, "per_class": dict.fromkeys(spec.classes, _FIGURES)}
    with whole_folder(home.bundles / bundle_id) as folder:
        write_bundle(folder, config, model, metrics, {}, [], "# Random weights, for measuring speed\n")

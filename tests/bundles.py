"""Bundles small enough to be written in a test, with random weights and figures that pass the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from speech.bundles.defects import (
    FORMAT,
    AgreementSection,
    AudioSection,
    BundleConfig,
    CalibrationSection,
    ModelSection,
    MultilabelCalibrationSection,
    write_bundle,
)
from speech.bundles.gate import Gate
from speech.defects.agreement import Agreement
from speech.defects.calibration import Calibration
from speech.defects.model import DefectModel
from speech.defects.multilabel import AnyCalibration, MultilabelCalibration
from speech.defects.spec import ModelSpec, marked_classes
from speech.encoders.precision import Precision
from speech.files import whole_folder
from speech.home import Home

MARKERS: dict[str, Sequence[str]] = {"none": (), "burr": ("р",), "fricative_g": ("г",), "stutter": ()}
CLASSES = tuple(MARKERS)
ENCODER: dict[str, Any] = {
    "model_type": "wav2vec2",
    "conv_dim": [16, 16, 16, 16, 16],
    "conv_kernel": [20, 8, 4, 4, 4],
    "conv_stride": [10, 4, 2, 2, 2],
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
METRICS: dict[str, Any] = {
    "macro_f1": 0.8,
    "per_class": {name: {"precision": 0.8, "recall": 0.8, "f1": 0.8} for name in CLASSES},
}


def tiny_spec(**encoder: Any) -> ModelSpec:
    """A wav2vec 2.0 of 50 thousand weights; `encoder` overrides its configuration."""
    return ModelSpec(ENCODER | encoder, CLASSES, ("р", "г"), marked_classes(MARKERS), width=16)


def tiny_model(seed: int = 0, **encoder: Any) -> DefectModel:
    """A `tiny_spec` model with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return DefectModel(tiny_spec(**encoder)).eval()


def tiny_multilabel_model(seed: int = 0) -> DefectModel:
    """`tiny_model` whose classes are not exclusive."""
    model = tiny_model(seed)
    model.spec = replace(model.spec, exclusive=False)
    return model


def write_tiny_bundle(
    home: Home,
    bundle_id: str,
    *,
    seed: int = 0,
    model: DefectModel | None = None,
    metrics: dict[str, Any] | None = None,
    gate: Gate | None = None,
    max_seconds: float = 30.0,
    calibration: AnyCalibration | None = None,
    precisions: Mapping[Precision, Agreement] = {},
) -> Path:
    """Write a bundle below `home`, not yet published, and return its folder."""
    model = model or tiny_model(seed)
    spec = model.spec
    config = BundleConfig(
        format=FORMAT,
        recipe="defects",
        id=bundle_id,
        created="2025-03-01T10:15:00+00:00",
        language="ru",
        class_names={name: {"ru": f"{name} по-русски", "en": name} for name in spec.classes},
        audio=AudioSection(min_seconds=0.2, max_seconds=max_seconds),
        model=ModelSection(**spec.as_dict()),
        calibration=CalibrationSection(**calibration.as_dict()) if isinstance(calibration, Calibration) else None,
        multilabel_calibration=MultilabelCalibrationSection(**calibration.as_dict())
        if isinstance(calibration, MultilabelCalibration)
        else None,
        precisions={name: AgreementSection(**agreement.as_dict()) for name, agreement in precisions.items()},
        gate=asdict(gate or Gate()),
        lineage={"archive": "0" * 64},
    )
    folder = home.bundles / bundle_id
    with whole_folder(folder) as temporary:
        write_bundle(temporary, config, model, metrics or METRICS, {"clips": 1}, ["ab" * 32], "# A test bundle\n")
    return folder

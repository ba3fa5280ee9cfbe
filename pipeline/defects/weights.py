"""A whole trained model in a stage's folder: its spec and its weights."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file

from speech.bundles.defects import build_empty
from speech.defects.model import DefectModel
from speech.defects.spec import ModelSpec
from speech.files import read_json, write_json

HELD_OUT_TWIN = "unheard"  # beside a model trained on all voices: its twin that has not heard the validation speakers
_SPEC, _WEIGHTS = "model.json", "model.safetensors"


def save_model(model: DefectModel, folder: Path) -> None:
    """Write the model to `folder`."""
    write_json(folder / _SPEC, model.spec.as_dict())
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, folder / _WEIGHTS
    )


def held_out_model(folder: Path) -> Path:
    """The folder of the model whose answers on validation speakers are honest: the twin's, or the model's own."""
    return folder / HELD_OUT_TWIN if (folder / HELD_OUT_TWIN).is_dir() else folder


def read_spec(folder: Path) -> ModelSpec:
    """The spec of the model of `save_model`."""
    return ModelSpec.from_dict(read_json(folder / _SPEC))


def load_model(folder: Path, device: str = "cpu") -> DefectModel:
    """The model of `save_model`, in evaluation mode."""
    model = build_empty(read_spec(folder))
    model.load_state_dict(load_file(folder / _WEIGHTS), strict=True, assign=True)
    return model.to(device).eval()

"""openai-whisper's checkpoint, made from the same weights in CTranslate2's form, so that both back ends run offline.

openai-whisper's form is a pickle. This one is made here from checked weights, and wherever it is read, in the library's
`load_model` (20250625) as in `speech.whisper.loading`, it is with `weights_only=True`, which runs no code from the
file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speech.files import write_atomically
from speech.whisper.ctranslate_file import ModelFileError, Variables, read_variables

if TYPE_CHECKING:
    import torch


def write_checkpoint(folder: Path, target: Path) -> None:
    """Write the weights of the CTranslate2 model in `folder` to `target` as `whisper.load_model` reads them.

    Beside `dims` and `model_state_dict` the checkpoint holds `alignment_heads`, (layer, head) pairs from the model's
    `config.json`: openai-whisper knows them only for models it downloads itself, and word times need them.
    Raises `ModelFileError` where the weights are quantised or something is missing.
    """
    import torch

    variables = read_variables(folder / "model.bin")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    try:
        checkpoint = {
            "dims": dimensions(variables),
            "model_state_dict": state_dict(variables),
            "alignment_heads": [[int(layer), int(head)] for layer, head in config["alignment_heads"]],
        }
    except KeyError as error:
        raise ModelFileError(f"{folder} lacks {error}, which a Whisper model must have") from error
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_atomically(target, buffer.getvalue())


def dimensions(variables: Variables) -> dict[str, int]:
    """openai-whisper's `ModelDimensions` of a model, read off its shapes. Raises `KeyError` for a missing variable."""
    audio_state, mels, _ = variables["encoder/conv1/weight"].shape
    vocabulary, text_state = variables["decoder/embeddings/weight"].shape
    return {
        "n_mels": mels,
        "n_audio_ctx": len(variables["encoder/position_encodings/encodings"]),
        "n_audio_state": audio_state,
        "n_audio_head": int(variables["encoder/num_heads"]),
        "n_audio_layer": _layers(variables, "encoder"),
        "n_vocab": vocabulary,
        "n_text_ctx": len(variables["decoder/position_encodings/encodings"]),
        "n_text_state": text_state,
        "n_text_head": int(variables["decoder/num_heads"]),
        "n_text_layer": _layers(variables, "decoder"),
    }


def state_dict(variables: Variables) -> dict[str, torch.Tensor]:
    """openai-whisper's state dict of a model's variables, in the precision they are stored in.

    Raises `KeyError` with the name of a missing variable and `ModelFileError` for quantised weights.
    """
    state = {
        "encoder.positional_embedding": _tensor(variables, "encoder/position_encodings/encodings"),
        "decoder.positional_embedding": _tensor(variables, "decoder/position_encodings/encodings"),
        "decoder.token_embedding.weight": _tensor(variables, "decoder/embeddings/weight"),
    }
    for modules, source in _modules(variables):
        scale, shift = ("gamma", "beta") if source.endswith("layer_norm") else ("weight", "bias")
        weights = _tensor(variables, f"{source}/{scale}").chunk(len(modules))
        biases = _tensor(variables, f"{source}/{shift}").chunk(len(modules))
        for module, weight, bias in zip(modules, weights, biases, strict=True):
            state[f"{module}.weight"] = weight.clone()
            if not module.endswith(".key"):  # Whisper's key projection has no bias; CTranslate2 stores zeros
                state[f"{module}.bias"] = bias.clone()
    return state


def _tensor(variables: Variables, name: str) -> torch.Tensor:
    import torch

    array = variables[name]
    if not np.issubdtype(array.dtype, np.floating):
        raise ModelFileError(f"{name} is quantised to {array.dtype}; take the model's float16 or float32 form")
    return torch.from_numpy(array.copy())


def _layers(variables: Variables, side: str) -> int:
    return len({name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_") and name.count("/") > 2})


def _modules(variables: Variables) -> Iterator[tuple[tuple[str, ...], str]]:
    """openai-whisper's modules and the CTranslate2 layer that holds them, stacked one above the other."""
    yield ("encoder.conv1",), "encoder/conv1"
    yield ("encoder.conv2",), "encoder/conv2"
    yield ("encoder.ln_post",), "encoder/layer_norm"
    yield ("decoder.ln",), "decoder/layer_norm"
    for side in ("encoder", "decoder"):
        for index in range(_layers(variables, side)):
            block, layer = f"{side}.blocks.{index}", f"{side}/layer_{index}"
            own, cross = f"{layer}/self_attention", f"{layer}/attention"
            yield tuple(f"{block}.attn.{part}" for part in ("query", "key", "value")), f"{own}/linear_0"
            yield (f"{block}.attn.out",), f"{own}/linear_1"
            yield (f"{block}.attn_ln",), f"{own}/layer_norm"
            if side == "decoder":
                yield (f"{block}.cross_attn.query",), f"{cross}/linear_0"
                yield tuple(f"{block}.cross_attn.{part}" for part in ("key", "value")), f"{cross}/linear_1"
                yield (f"{block}.cross_attn.out",), f"{cross}/linear_2"
                yield (f"{block}.cross_attn_ln",), f"{cross}/layer_norm"
            yield (f"{block}.mlp.0",), f"{layer}/ffn/linear_0"
            yield (f"{block}.mlp.2",), f"{layer}/ffn/linear_1"
            yield (f"{block}.mlp_ln",), f"{layer}/ffn/layer_norm"

"""Recognisers in folders and on the hub: loaded, written, and started anew from an encoder."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer, PreTrainedConfig, Wav2Vec2CTCTokenizer
from transformers.utils import logging as transformers_logging

from speech.ctc.architecture import RecogniserError, architecture, build, configuration
from speech.ctc.hub import fetch
from speech.ctc.model import Processor, Recogniser
from speech.encoders.tensors import finite
from speech.files import read_json, write_json
from speech.home import code_folder

__all__ = [
    "Processor",
    "Recogniser",
    "RecogniserError",
    "architecture",
    "build",
    "load_processor",
    "load_recogniser",
    "new_recogniser",
    "save_processor",
    "save_recogniser",
    "state_of",
]

LANGUAGE_KEY, WORDS_KEY = "language", "words"  # of config.json, in models that are made here
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_NOT_NEEDED = ("masked_spec_embed",)  # of training alone; the best known checkpoints lack it
_LONGEST_REASON = 500  # characters; torch names every weight that does not fit


def load_recogniser(
    folder_or_name: Path | str, *, device: str = "cpu", token: str | None = None, revision: str | None = None
) -> Recogniser:
    """A recogniser from a Hugging Face folder, or by its name on the hub, in evaluation mode and fp32.

    A relative path is looked for in the working folder, then beside the code. `token`: an access token for gated
    models; without it HF_TOKEN of the environment counts. Weights are read from safetensors alone, and nothing of the
    folder is executed. Raises `RecogniserError`.
    """
    folder = local_folder(folder_or_name) or fetch(str(folder_or_name), token, revision)
    try:
        value = _read_configuration(folder)
        config = configuration(value)
        processor = load_processor(folder)
        model, lacking = _pretrained(folder, config)
        if lacking:
            raise RecogniserError(
                f"model.safetensors lacks {', '.join(lacking[:5])}: it holds an encoder alone, from which a recogniser "
                "can be started anew, or another model than config.json describes"
            )
        words = [str(word) for word in value.get(WORDS_KEY) or ()]
        return Recogniser(model.to(device).eval(), processor, str(value.get(LANGUAGE_KEY) or ""), words)
    except RecogniserError as error:
        raise RecogniserError(f"{folder_or_name}: {error}") from error


def local_folder(folder_or_name: Path | str) -> Path | None:
    """The folder that a recogniser or encoder of this name or path is read from; None where it comes from the hub.

    Raises `RecogniserError` for a path that cannot be a name.
    """
    path = Path(folder_or_name).expanduser()
    found = next((folder for folder in (path, code_folder() / path) if folder.is_dir()), None)
    if found is None and (isinstance(folder_or_name, Path) or path.is_absolute() or folder_or_name.startswith(".")):
        raise RecogniserError(f"there is no folder {path}")
    return found


def _read_configuration(folder: Path) -> dict[str, Any]:
    try:
        value = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise RecogniserError(f"config.json cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise RecogniserError("config.json holds no configuration")
    return value


def _pretrained(folder: Path, config: PreTrainedConfig) -> tuple[nn.Module, list[str]]:
    """The model of a configuration with a folder's weights, which must be finite, and the names of those it lacks."""
    if not any((folder / name).is_file() for name in _WEIGHTS):
        pickled = next((path.name for path in sorted(folder.glob("*.bin"))), None)
        instead = f"; {pickled} is a pickle, which is not read: convert it to safetensors" if pickled else ""
        raise RecogniserError(f"model.safetensors is missing{instead}")
    transformers_logging.set_verbosity_error()
    try:
        model, found = AutoModelForCTC.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise RecogniserError(f"model.safetensors cannot be read as config.json has it: {_short(error)}") from error
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not finite(tensor):
            raise RecogniserError(f"model.safetensors: {name} holds values that are not finite")
    return model, sorted(name for name in found["missing_keys"] if not name.endswith(_NOT_NEEDED))


def load_processor(folder: Path) -> Processor:
    """Feature extractor and tokenizer of a folder's files. Raises `RecogniserError` naming the file that is wrong."""
    return Processor(
        _part(folder, AutoFeatureExtractor, "feature extractor", ("preprocessor_config.json", "processor_config.json")),
        _part(folder, AutoTokenizer, "tokenizer", ("tokenizer.json", "vocab.json")),
    )


def _part(folder: Path, kind: Any, what: str, files: Sequence[str]) -> Any:
    if not any((folder / name).is_file() for name in files):
        raise RecogniserError(f"there is no {what}: {' or '.join(files)} is missing")
    transformers_logging.set_verbosity_error()
    try:
        return kind.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # each kind raises its own, down to AttributeError
        raise RecogniserError(f"the {what} ({' or '.join(files)}) cannot be read: {_short(error)}") from error


def _short(error: Exception) -> str:
    return (str(error) or repr(error))[:_LONGEST_REASON]


def new_recogniser(encoder: Path | str, alphabet: Sequence[str], language: str, *, seed: int) -> Recogniser:
    """The wav2vec 2.0 encoder of a folder with a new CTC head that spells `alphabet`, its letters in order.

    Output 0 is the blank (`<pad>`), 1 the space between words (`|`), 2 `<unk>`, then come the letters. `seed` draws the
    head's start. Raises `RecogniserError`.
    """
    letters = list(alphabet)
    if len(set(letters)) != len(letters) or any(len(letter) != 1 or letter in "| " for letter in letters):
        raise RecogniserError(f"an alphabet is of single letters, each once, without space and '|', not {letters}")
    vocabulary = {token: index for index, token in enumerate(["<pad>", "|", "<unk>", *letters])}
    changed: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    changed |= {"ctc_zero_infinity": True, "ctc_loss_reduction": "mean", "architectures": None}
    try:
        folder = local_folder(encoder)
        if folder is None:
            raise RecogniserError("there is no such folder")
        value = _read_configuration(folder)
        if value.get("model_type") != "wav2vec2":
            raise RecogniserError(f"config.json, model_type: {value.get('model_type')!r}; it must be wav2vec2")
        torch.manual_seed(seed)
        model, lacking = _pretrained(folder, configuration(value | changed))
        if lacking := [name for name in lacking if not name.startswith("lm_head.")]:
            raise RecogniserError(f"model.safetensors lacks {', '.join(lacking[:5])}")
        extractor = _part(folder, AutoFeatureExtractor, "feature extractor", ("preprocessor_config.json",))
        return Recogniser(model.eval(), Processor(extractor, _tokenizer(vocabulary)), language)
    except RecogniserError as error:
        raise RecogniserError(f"{encoder}: {error}") from error


def _tokenizer(vocabulary: Mapping[str, int]) -> Wav2Vec2CTCTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vocab.json"
        write_json(file, vocabulary)
        return Wav2Vec2CTCTokenizer(str(file), bos_token=None, eos_token=None)


def save_recogniser(recogniser: Recogniser, folder: Path) -> None:
    """Write a plain Hugging Face folder: config.json, model.safetensors and the processor's files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"architectures": [type(recogniser.model).__name__]}
    value = architecture(recogniser.model.config) | names
    ours = {LANGUAGE_KEY: recogniser.language, WORDS_KEY: list(recogniser.words)}
    write_json(folder / "config.json", value | {name: said for name, said in ours.items() if said})
    save_file(state_of(recogniser), folder / "model.safetensors", metadata={"format": "pt"})
    save_processor(recogniser.processor, folder)


def state_of(recogniser: Recogniser) -> dict[str, torch.Tensor]:
    """The weights by name, as a file of them is written."""
    state: Mapping[str, torch.Tensor] = recogniser.model.state_dict()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def save_processor(processor: Processor, folder: Path) -> None:
    """Write the files of feature extractor and tokenizer."""
    processor.feature_extractor.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)

"""Pretraining: the encoder learns to predict how many marker letters a word or clip holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoFeatureExtractor, AutoModel
from transformers.utils import logging as transformers_logging

from pipeline.defects.objectives import Transcribed
from pipeline.defects.settings import CountUnit, EncoderSettings, Pretext
from pipeline.defects.task import DefectTask
from pipeline.progress import Metrics, Report
from pipeline.training.augmentation import Augmentation
from pipeline.training.examples import Example, ExampleSet
from pipeline.training.filterbank import start_as_filterbank
from pipeline.training.trainer import TrainingRun, fit
from speech.bundles.defects import load_bundle
from speech.defects.model import DefectModel, encoder_config
from speech.defects.spec import ModelSpec
from speech.encoders import whisper_encoder
from speech.files import read_json, write_json
from speech.home import code_folder, weights_folder
from speech.whisper.weights import OFFLINE_CHECKPOINT

_SPEC, _WEIGHTS = "spec.json", "encoder.safetensors"
_KEPT = ("encoder.", "marker_head.")
LETTER_FILES = ("letters.json", "letters.safetensors")  # a marker head to start from, beside a local encoder
WHISPER_BASE = "openai/whisper-base"  # its encoder comes from the weights that set-up fetched, not from the hub


class EncoderUnavailable(ValueError):
    """The encoder cannot be had; the message says what to give instead."""


def start_model(
    settings: EncoderSettings,
    classes: Sequence[str],
    letters: Sequence[str],
    marked: Sequence[bool],
    bundle: Path | None = None,
    alphabet: str = "",
) -> DefectModel:
    """The model that pretraining starts from. `bundle` is the folder that `init_from` names, `alphabet` the language's,
    which counts where the pretext task spells.

    Raises `EncoderUnavailable`, or `speech.bundles.defects.BundleError` where the bundle is broken.
    """
    torch.manual_seed(settings.seed)
    known: dict[str, Any] = {"classes": tuple(classes), "letters": tuple(letters), "marked": tuple(marked)}
    known["alphabet"] = alphabet if settings.pretext is not Pretext.counts else ""
    if bundle is not None:
        before = load_bundle(bundle).model
        model = DefectModel(ModelSpec(before.spec.encoder, normalise=before.spec.normalise, **known), before.encoder)
        if (before.spec.letters, before.spec.alphabet) == (known["letters"], known["alphabet"]):
            model.marker_head.load_state_dict(before.marker_head.state_dict())
        return model
    if settings.architecture is not None:
        try:
            config = encoder_config(settings.architecture)
            model = DefectModel(ModelSpec(_plain(config.to_dict()), **known))
        except (ValueError, TypeError, AttributeError) as error:
            raise EncoderUnavailable(f"encoder.architecture: {error}") from error
        start_as_filterbank(model.encoder)
        return model
    assert settings.name is not None
    model = _pretrained(settings.name, known)
    if (folder := letters_folder(settings.name)) is not None and model.spec.alphabet:
        _start_letters(model, folder)
    return model


def _start_letters(model: DefectModel, folder: Path) -> None:
    """Let the marker head start from the letters that lie beside an encoder, where it spells the same alphabet."""
    description, weights = (folder / name for name in LETTER_FILES)
    if not description.is_file() or read_json(description)["alphabet"] != model.spec.alphabet:
        return
    try:
        state = {name: value.float() for name, value in load_file(weights).items()}
        model.marker_head.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise EncoderUnavailable(
            f"encoder.name: {weights} does not fit this encoder ({_first_line(error)}); remove it and {description}, "
            "or make both anew with `python -m encoders.letters`"
        ) from error


def local_weights(name: str) -> Path | None:
    """The file or folder that an encoder of this name is read from; None where it comes from the hub.

    A relative path is looked for in the working folder, then beside the code: `encoders/small` ships there.
    """
    if name == WHISPER_BASE:
        return weights_folder() / OFFLINE_CHECKPOINT
    return next((path for path in (Path(name).expanduser(), code_folder() / name) if path.is_dir()), None)


def letters_folder(name: str) -> Path | None:
    """The folder that may hold `LETTER_FILES` for an encoder of this name; None where it comes from the hub."""
    return code_folder() / "encoders" / "whisper-base" if name == WHISPER_BASE else local_weights(name)


def _pretrained(name: str, known: dict[str, Any]) -> DefectModel:
    local = local_weights(name)
    if name == WHISPER_BASE and local is not None:
        return _whisper(local, known)
    name = str(local or name)
    transformers_logging.set_verbosity_error()
    try:
        # Stored in half precision or not, it is trained in fp32 (bf16 is the Trainer's autocast).
        encoder = AutoModel.from_pretrained(
            name, trust_remote_code=False, use_safetensors=None, layerdrop=0.0, dtype=torch.float32
        )
        config = encoder_config(_plain(encoder.config.to_dict()))
    except (OSError, ValueError) as error:
        raise EncoderUnavailable(
            f"encoder.name: {name} cannot be loaded ({_first_line(error)}). Give a path to a Hugging Face speech "
            "encoder, the name of one while the hub is reachable (HF_TOKEN for a gated one), or an architecture instead"
        ) from error
    try:
        normalise = bool(AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False).do_normalize)
    except (OSError, ValueError, AttributeError):
        normalise = True  # the layer-norm encoders, which are those to choose, were all trained on normalised sound
    return DefectModel(ModelSpec(_plain(config.to_dict()), normalise=normalise, **known), encoder)


def _whisper(checkpoint: Path, known: dict[str, Any]) -> DefectModel:
    try:
        encoder = whisper_encoder.from_checkpoint(checkpoint)
    except (OSError, ValueError) as error:
        raise EncoderUnavailable(
            f"encoder.name: {WHISPER_BASE}: {_first_line(error)}. `make setup` fetches these weights"
        ) from error
    config = _plain(encoder.config.to_dict()) | {"model_type": whisper_encoder.MODEL_TYPE}
    return DefectModel(ModelSpec(config, normalise=False, **known), encoder)


def pretrain(
    model: DefectModel,
    training: Sequence[Example],
    validation: Sequence[Example],
    settings: EncoderSettings,
    folder: Path,
    report: Report,
    metrics: Metrics,
) -> TrainingRun:
    """Train encoder and marker head in place on what the examples' transcripts hold; best weights by validation loss.

    Examples without a sure word are left out.
    """
    per_word = settings.unit is CountUnit.word
    freeze = settings.freeze_features if settings.freeze_features is not None else settings.architecture is None
    if freeze:
        model.encoder.freeze_feature_encoder()  # type: ignore[operator]

    augmentation = Augmentation() if settings.augment else None

    objective = Transcribed(
        model.frame_seconds,
        per_word=per_word,
        counts=settings.pretext is not Pretext.letters,
        spells=bool(model.spec.alphabet),
        prior_weight=settings.label_prior,
    )

    def counted(examples: Sequence[Example]) -> list[Example]:
        return [e for e in examples if e.counts is not None or (per_word and e.words)]

    # Only what the loss reaches may learn; the defect heads have no gradient here.
    for pair in model.heads:
        pair.marker_words.requires_grad_(False)
        pair.other_words.requires_grad_(False)
    learned = ExampleSet(
        counted(training), settings.max_crop_seconds, training=True, augmentation=augmentation, seed=settings.seed
    )
    run = fit(
        DefectTask(model, learned, objective),
        learned,
        ExampleSet(counted(validation), settings.max_crop_seconds, training=False),
        settings,
        folder,
        stage="encoder",
        best_by="eval_loss",
        longest_seconds=settings.max_crop_seconds,
        report=report,
        metrics=metrics,
    )
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return run


def save_encoder(model: DefectModel, folder: Path) -> None:
    """Write encoder and marker head to `folder`."""
    write_json(folder / _SPEC, model.spec.as_dict())
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file({name: value for name, value in state.items() if name.startswith(_KEPT)}, folder / _WEIGHTS)


def load_encoder(folder: Path, seed: int, **heads: Any) -> DefectModel:
    """The model with the encoder and marker head of `save_encoder` and new defect heads; `heads` are their fields of
    `speech.defects.spec.ModelSpec`."""
    torch.manual_seed(seed)
    spec = read_json(folder / _SPEC) | heads
    model = DefectModel(ModelSpec.from_dict(spec))
    missing, unexpected = model.load_state_dict(load_file(folder / _WEIGHTS), strict=False)
    if unexpected or any(name.startswith(_KEPT) for name in missing):
        raise EncoderUnavailable(f"{folder / _WEIGHTS} does not fit {_SPEC}; remove the folder and launch again")
    return model


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration as plain data, without what belongs to a file or a library version."""
    left_out = {"_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", "auto_map"}
    return {key: value for key, value in config.items() if key not in left_out and not key.startswith("_")}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__

"""Speech to text with word times: two Whisper back ends behind one function.

A `Transcriber` is given samples, never a path, so that the one decoder of `speech.audio.decode` serves here too and no
ffmpeg is needed. Decoding is deterministic: temperature 0 without fallback, no text carried from one window to the
next.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from speech.hardware.card_faults import CardFault, explained
from speech.hardware.cuda_libraries import missing_library
from speech.hardware.devices import Device, driver_runs, read_hardware, release_memory
from speech.whisper.backend import Transcriber, TranscriberError, WhisperOptions
from speech.whisper.weights import FASTER_WHISPER, resolve

READING = 1  # raised when the same back end's answer is read differently, so that cached transcripts are made anew
_ON_CARD = ("float16", "int8", "float32")  # of CTranslate2's number formats, the best that a card has is taken

_log = logging.getLogger(__name__)


def settled(options: WhisperOptions) -> dict[str, Any]:
    """Everything a transcript depends on but the weights, with `auto` decided for this machine. Keys caches.

    Whether a card computes shows when the model is loaded: a transcriber's `device` is what counts.
    """
    values = {field.name: getattr(options, field.name) for field in fields(options) if field.name != "threads"}
    device = settle_device(options)
    return {**values, "device": device, "compute_type": settle_compute_type(options, device), "reading": READING}


def settle_device(options: WhisperOptions) -> Device:
    """Where the options' back end computes, as far as can be told without a model. Raises `TranscriberError` where CUDA
    is asked for and not there."""
    missing = "" if options.device == "cpu" else _unseen(options.backend)
    if options.device == "cuda" and missing:
        raise TranscriberError(f"device is cuda, but {missing}; or take device: cpu or auto")
    return "cpu" if options.device == "cpu" or missing else "cuda"


def card_missing(backend: str) -> str:
    """What keeps a back end from a card, and what to do, before there is a model; empty where nothing is known to."""
    return _unseen(backend) or (missing_library() if backend == FASTER_WHISPER else "")


def _unseen(backend: str) -> str:
    """Why the back end sees no card, and what to do; empty where it sees one."""
    if backend != FASTER_WHISPER:
        return read_hardware().no_card
    import ctranslate2  # asks the driver alone, so that importing torch is not needed for it

    if ctranslate2.get_cuda_device_count() > 0:
        return ""
    try:  # not get_supported_compute_types, which answers the second time as if there were a card
        ctranslate2.StorageView.from_array(np.zeros(1, np.float32)).to_device(ctranslate2.Device.cuda)
    except (RuntimeError, ValueError) as error:
        return explained(error)
    return ""


def settle_compute_type(options: WhisperOptions, device: Device) -> str:
    """The number format to compute in. Raises `TranscriberError` for one that openai-whisper does not know."""
    if options.backend == FASTER_WHISPER:
        return _format(device) if options.compute_type == "auto" else options.compute_type
    known = ("float32", "float16") if device == "cuda" else ("float32",)
    chosen = options.compute_type
    if chosen == "auto":
        chosen = "float16" if device == "cuda" and read_hardware().cards[0].fp16 else "float32"
    if chosen not in known:
        raise TranscriberError(
            f"compute_type {chosen!r} is not for openai-whisper on {device}; take auto or {' or '.join(known)}"
        )
    return chosen


def _format(device: Device) -> str:
    if device == "cpu":
        return "int8"
    import ctranslate2

    offered = ctranslate2.get_supported_compute_types("cuda")
    return next(name for name in _ON_CARD if name in offered)  # every card has float32


def load_transcriber(options: WhisperOptions) -> Transcriber:
    """Load the model; on a card it has encoded a second of sound by then. With device `auto`, a warning says why a
    card is left alone.

    Raises `TranscriberError` where the model is not found, cannot be downloaded or does not load, and where the card
    that is asked for does not compute.
    """
    model = resolve(options.model, options.backend)
    if not Path(model).exists() and _means_a_path(options.model):
        raise TranscriberError(f"model {options.model}: there is no such file or folder")
    fault = ""
    if settle_device(options) == "cuda":
        try:
            return _loaded(model, options, "cuda")
        except CardFault as error:
            fault = str(error)
        release_memory()
        if options.device == "cuda":
            raise TranscriberError(f"device is cuda, but {fault}")
    elif options.device == "auto" and driver_runs():
        fault = _unseen(options.backend)
    if fault:
        _log.warning("Whisper computes on the processor and not on the NVIDIA card: %s", fault)
    return _loaded(model, options, "cpu")


def _loaded(model: str, options: WhisperOptions, device: Device) -> Transcriber:
    """Raises `CardFault` where the card is at fault, else `TranscriberError`."""
    compute_type = settle_compute_type(options, device)
    if options.backend == FASTER_WHISPER:
        from speech.whisper.faster import CTranslateWhisper

        return CTranslateWhisper(model, options, device, compute_type)
    from speech.whisper.openai import OpenAIWhisper

    return OpenAIWhisper(model, options, device, compute_type)


def _means_a_path(model: str) -> bool:
    # "owner/name" is a hub's model, so a slash alone does not make a path.
    return model.startswith(("/", "./", "../", "~")) or model.endswith((".pt", ".bin"))

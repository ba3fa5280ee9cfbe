"""The openai-whisper back end."""

from __future__ import annotations

import pickle
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from whisper.tokenizer import LANGUAGES, get_tokenizer

from speech.audio.decode import SAMPLE_RATE
from speech.hardware.card_faults import CardFault, explained
from speech.hardware.devices import Device
from speech.whisper.backend import TranscriberError, WhisperOptions, card_explained, not_found, unknown_language
from speech.whisper.transcript import Segment, WhisperTranscript, collect


class OpenAIWhisper:
    """Whisper through openai-whisper and PyTorch."""

    def __init__(self, model: str, options: WhisperOptions, device: Device, compute_type: str) -> None:
        """`model`: a checkpoint or a name. Raises `TranscriberError`, or `CardFault` where a card does not compute."""
        if options.threads:
            torch.set_num_threads(options.threads)
        self._model = _load(model)
        known = list(LANGUAGES) if self._model.is_multilingual else ["en"]
        if options.language not in (None, *known):
            raise unknown_language(options.language, known)
        self.device: Device = device
        self._options = options
        self._half = compute_type == "float16"
        if device == "cuda":
            self._move_to_card()
        self._suppressed = [-1, *self._digits()] if options.spell_numbers else [-1]  # -1: Whisper's own list

    def _move_to_card(self) -> None:
        try:
            self._model.to("cuda")
            self.try_out()
        except (RuntimeError, AssertionError) as error:  # what torch raises for a card; its build without one asserts
            raise CardFault(explained(error)) from error

    def try_out(self) -> None:
        """Encode a second of sound, whose memory is taken only then. Raises RuntimeError."""
        sound = whisper.pad_or_trim(np.zeros(SAMPLE_RATE, np.float32))
        mel = whisper.log_mel_spectrogram(sound, self._model.dims.n_mels).to(self._model.device)
        with torch.inference_mode():
            encoded = self._model.embed_audio((mel.half() if self._half else mel).unsqueeze(0))
        if not torch.isfinite(encoded).all():
            raise RuntimeError("Whisper's encoder gives values that are not finite; take another compute_type")

    def _digits(self) -> list[int]:
        tokenizer = get_tokenizer(self._model.is_multilingual, num_languages=self._model.num_languages)
        tokens = (tokenizer.encoding.decode_single_token_bytes(number) for number in range(tokenizer.eot))
        return [number for number, token in enumerate(tokens) if any(byte in b"0123456789" for byte in token)]

    def transcribe(self, samples: np.ndarray) -> WhisperTranscript:
        """As `speech.whisper.backend.Transcriber`. Raises `TranscriberError` where the card fails meanwhile."""
        with card_explained(self.device):
            return self._transcript(samples)

    def _transcript(self, samples: np.ndarray) -> WhisperTranscript:
        result = whisper.transcribe(
            self._model,
            samples,
            language=self._options.language,
            beam_size=None if self._options.beam_size == 1 else self._options.beam_size,
            temperature=0.0,
            no_speech_threshold=None,  # a silent clip is `speech.whisper.markers`' business, which sees the measure
            condition_on_previous_text=False,
            initial_prompt=self._options.initial_prompt,
            suppress_tokens=self._suppressed,
            word_timestamps=True,
            fp16=self._half,
        )
        spoken = (segment for segment in result["segments"] if segment["text"])  # emptied ones are left in the list
        return collect(map(_segment, spoken), result["language"], samples)


def _segment(segment: dict[str, Any]) -> Segment:
    return Segment(
        text=segment["text"],
        words=tuple(
            (word["word"], float(word["start"]), float(word["end"]), float(word["probability"]))
            for word in segment["words"]
        ),
        no_speech_probability=segment["no_speech_prob"],
        compression_ratio=segment["compression_ratio"],
        average_logprob=segment["avg_logprob"],
    )


def _load(model: str) -> whisper.Whisper:
    path = Path(model)
    if path.is_dir():
        raise TranscriberError(
            f"model {model} is a folder; openai-whisper needs a checkpoint file (.pt), "
            "or set the back end to faster-whisper"
        )
    if not path.is_file() and model not in whisper.available_models():
        names = ", ".join(whisper.available_models())
        raise TranscriberError(f"model {model!r} is neither a file nor a name openai-whisper knows: {names}")
    try:
        loaded = whisper.load_model(model, device="cpu")
        if path.is_file():
            _align(loaded, path)
    except (urllib.error.URLError, TimeoutError) as error:
        raise not_found(model, error) from error
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise TranscriberError(f"model {model} does not load as an openai-whisper checkpoint: {error}") from error
    return loaded


def _align(model: whisper.Whisper, path: Path) -> None:
    """Set the heads whose attention gives word times, where the checkpoint names them
    (`speech.whisper.openai_checkpoint`)."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    heads = checkpoint.get("alignment_heads")
    if heads is None:
        return
    mask = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
    for layer, head in heads:
        mask[layer, head] = True
    model.register_buffer("alignment_heads", mask.to_sparse().to(model.device), persistent=False)

"""Recognisers small enough to be made in a test, with random weights: of sound and of spectrograms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    LasrCTCConfig,
    LasrFeatureExtractor,
    LasrForCTC,
    LasrTokenizer,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
)

from speech.bundles.defects import FORMAT, AgreementSection, AudioSection, RecogniserConfig
from speech.bundles.gate import WerGate
from speech.bundles.recogniser import recogniser_section, write_recogniser_bundle
from speech.ctc.folder import Processor, Recogniser
from speech.defects.agreement import Agreement
from speech.encoders.precision import Precision
from speech.files import whole_folder
from speech.home import Home
from tests.bundles import ENCODER

ALPHABET = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
PIECES = ("▁", "▁пациент", "▁в", "▁норме", "▁па", "ци", "ент", "▁но", "р", "ме", "а", "е", "о", "т", "н")


def character_tokenizer(folder: Path, alphabet: Sequence[str] = ALPHABET) -> Wav2Vec2CTCTokenizer:
    file = folder / "vocab.json"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({name: n for n, name in enumerate(["<pad>", "|", "<unk>", *alphabet])}))
    return Wav2Vec2CTCTokenizer(str(file), bos_token=None, eos_token=None)


def tiny_recogniser(folder: Path, seed: int = 0, language: str = "ru", **encoder: Any) -> Recogniser:
    """A wav2vec 2.0 that spells Russian letters; `encoder` overrides its configuration. `folder`: its vocabulary's."""
    torch.manual_seed(seed)
    tokenizer = character_tokenizer(folder)
    values = {key: value for key, value in ENCODER.items() if key != "model_type"}
    config = Wav2Vec2Config(**(values | {"vocab_size": len(tokenizer), "pad_token_id": 0} | encoder))
    masked = config.feat_extract_norm == "layer"
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=masked)
    return Recogniser(sharpened(Wav2Vec2ForCTC(config).eval()), Processor(extractor, tokenizer), language)


def tiny_lasr(seed: int = 0, language: str = "ru") -> Recogniser:
    """A model as MedASR's: of spectrograms, with parts of words and `</s>`."""
    torch.manual_seed(seed)
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((piece, -2.0 - n) for n, piece in enumerate(PIECES))]
    tokenizer = LasrTokenizer(vocab=vocabulary, extra_ids=0)
    encoder = {
        "model_type": "lasr_encoder",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "conv_kernel_size": 8,
        "subsampling_conv_channels": 16,
        "num_mel_bins": 32,
    }
    config = LasrCTCConfig(vocab_size=len(tokenizer), encoder_config=encoder)
    processor = Processor(LasrFeatureExtractor(feature_size=32), tokenizer)
    return Recogniser(sharpened(LasrForCTC(config).eval()), processor, language)


def sharpened(model: Any) -> Any:
    """The model with a larger head and a rarer blank, so that random weights say something, and not in each frame the
    same."""
    head = getattr(model, "lm_head", None) or model.ctc_head
    with torch.no_grad():
        for weight in head.parameters():
            weight.mul_(100)
        list(head.parameters())[-1][:3] -= 20  # the biases of the blank and its neighbours, special as well
    return model


def spoken(recogniser: Recogniser, ids: Sequence[int], frames_each: int = 3, sure: float = 0.9) -> np.ndarray:
    """Emissions (frames, vocabulary) in which each token lasts so many frames, a blank frame after it."""
    path = [token for one in ids for token in [one] * frames_each + [recogniser.blank]]
    return peaked([recogniser.blank, *path], recogniser.vocabulary_size, sure)


def peaked(path: Sequence[int], vocabulary: int, sure: float = 0.9) -> np.ndarray:
    """Emissions whose most probable token is that of `path` in each frame, with probability `sure`."""
    made = np.full((len(path), vocabulary), (1 - sure) / (vocabulary - 1))
    made[np.arange(len(path)), path] = sure
    return np.log(made).astype(np.float32)


WER_METRICS: dict[str, Any] = {"wer": 0.1, "cer": 0.04, "clips": 20, "words": 140}


def write_tiny_recogniser(
    home: Home,
    bundle_id: str,
    recogniser: Recogniser,
    *,
    metrics: dict[str, Any] | None = None,
    gate: WerGate | None = None,
    precisions: Mapping[Precision, Agreement] = {},
) -> Path:
    """Write a recogniser's bundle below `home`, not yet published, and return its folder."""
    config = RecogniserConfig(
        format=FORMAT,
        recipe="asr",
        id=bundle_id,
        created="2025-03-01T10:15:00+00:00",
        language=recogniser.language,
        audio=AudioSection(min_seconds=0.2, max_seconds=3600.0),
        model=recogniser_section(recogniser),
        precisions={name: AgreementSection(**agreement.as_dict()) for name, agreement in precisions.items()},
        gate=asdict(gate or WerGate()),
        lineage={"archive": "0" * 64},
    )
    folder = home.bundles / bundle_id
    with whole_folder(folder) as temporary:
        write_recogniser_bundle(
            temporary, config, recogniser, metrics or WER_METRICS, {"clips": 1}, ["ab" * 32], "# A test bundle\n"
        )
    return folder

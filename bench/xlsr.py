"""facebook/wav2vec2-xls-r-300m with random weights, for what needs its size and not what it has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

# As its config.json on the hub has it.
XLSR_300M: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "feat_proj_dropout": 0.1,
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.0,
    "final_dropout": 0.0,
    "layerdrop": 0.1,
    "mask_time_prob": 0.075,
}


def write_xlsr(folder: Path, **changes: Any) -> Path:
    """Write the model to a folder that `encoder.name` can name; returns the folder."""
    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(**(XLSR_300M | changes))).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
    return folder

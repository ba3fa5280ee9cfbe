"""Whisper's encoder as an encoder of raw sound, without padding to 30 s.

It answers as wav2vec 2.0 does (`hidden_states` at 50 frames a second), so that the heads need not know which encoder
they have. The layers are those of transformers. The log-mel spectrogram is Whisper's (2212.04356); it is computed here,
from the sound, so that it is part of the model and stands in its bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import WhisperConfig
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from speech.audio.decode import SAMPLE_RATE

MODEL_TYPE = "whisper_encoder"
FRAME_SAMPLES = 320  # 50 frames a second, after the second convolution's stride of 2
_WINDOW, _HOP = 400, 160
_DYNAMIC_RANGE = 8.0  # powers of ten below a clip's loudest moment, under which nothing is seen

# openai-whisper's names of what transformers calls otherwise.
_RENAMED = (
    ("blocks.", "layers."),
    ("attn.query.", "self_attn.q_proj."),
    ("attn.key.", "self_attn.k_proj."),
    ("attn.value.", "self_attn.v_proj."),
    ("attn.out.", "self_attn.out_proj."),
    ("attn_ln.", "self_attn_layer_norm."),
    ("mlp.0.", "fc1."),
    ("mlp.2.", "fc2."),
    ("mlp_ln.", "final_layer_norm."),
    ("ln_post.", "layer_norm."),
)


class Layers(NamedTuple):
    """`hidden_states`: the input of the first layer and the output of each, (batch, frames, size)."""

    hidden_states: tuple[torch.Tensor, ...]


class SoundEncoder(nn.Module):
    """Whisper's encoder on sound (batch, samples) at 16 kHz; the time it takes goes with the length of the clips."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = WhisperEncoder(config)
        filters = mel_filter_bank(
            num_frequency_bins=_WINDOW // 2 + 1,
            num_mel_filters=config.num_mel_bins,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        self.filters: torch.Tensor
        self.register_buffer("filters", torch.tensor(filters, dtype=torch.float32).T, persistent=False)
        self.window: torch.Tensor
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)

    @property
    def most_samples(self) -> int:
        """The longest clip that positions are known for."""
        return int(self.config.max_source_positions) * FRAME_SAMPLES

    def freeze_feature_encoder(self) -> None:
        """Keep the two convolutions as they are."""
        for layer in (self.encoder.conv1, self.encoder.conv2):
            layer.requires_grad_(False)

    def log_mel(self, sound: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Whisper's features (batch, bands, hops) of sound (batch, samples); `inside` (batch, samples) is 1 in a clip.

        A clip's own loudest moment is what its range is measured from, so padding does not change it.
        """
        spectrum = torch.stft(
            sound.float(), _WINDOW, _HOP, window=self.window.float(), center=True, pad_mode="constant",
            return_complex=True,
        )[..., :-1].abs().square()  # fmt: skip
        logs = torch.einsum("fm,...mt->...ft", self.filters.float(), spectrum).clamp(min=1e-10).log10()
        hops = inside[:, ::_HOP][:, : logs.shape[2]].unsqueeze(1).bool()
        loudest = logs.masked_fill(~hops, -torch.inf).amax((1, 2), keepdim=True)
        logs = torch.maximum(logs, loudest - _DYNAMIC_RANGE)
        return ((logs + 4.0) / 4.0).masked_fill(~hops, 0.0)

    def forward(
        self, sound: torch.Tensor, attention_mask: torch.Tensor | None = None, output_hidden_states: bool = True
    ) -> Layers:
        """sound (batch, samples), attention_mask (batch, samples). Longer sound is heard in pieces of 30 s."""
        if attention_mask is None:
            attention_mask = torch.ones(sound.shape, dtype=torch.long, device=sound.device)
        pieces = [
            self._piece(*piece)
            for piece in zip(sound.split(self.most_samples, 1), attention_mask.split(self.most_samples, 1), strict=True)
        ]
        return Layers(tuple(torch.cat(layer, 1) for layer in zip(*pieces, strict=True)))

    def _piece(self, sound: torch.Tensor, attention_mask: torch.Tensor) -> list[torch.Tensor]:
        spare = -sound.shape[1] % FRAME_SAMPLES
        sound, inside = (nn.functional.pad(value, (0, spare)) for value in (sound, attention_mask))
        encoder = self.encoder
        hidden = nn.functional.gelu(encoder.conv1(self.log_mel(sound, inside)))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        frames = inside[:, ::FRAME_SAMPLES].bool()
        hidden = hidden * frames.unsqueeze(-1)
        # Every frame may look at the frames of its clip alone.
        barrier = torch.zeros(frames.shape, dtype=hidden.dtype, device=hidden.device)
        barrier = barrier.masked_fill(~frames, torch.finfo(hidden.dtype).min)[:, None, None, :]
        barrier = barrier.expand(-1, 1, hidden.shape[1], -1)
        states = [hidden]
        for layer in encoder.layers:
            result = layer(hidden, barrier)
            hidden = result[0] if isinstance(result, tuple) else result
            states.append(hidden)
        states[-1] = encoder.layer_norm(hidden)
        return states


def sound_config(value: dict[str, Any]) -> WhisperConfig:
    """The configuration of a `SoundEncoder` from a dict, completed with what is asked of every encoder."""
    config = WhisperConfig(**{key: item for key, item in value.items() if key != "model_type"})
    config.conv_kernel, config.conv_stride = [1], [FRAME_SAMPLES]  # a frame for every 20 ms begun
    config.feat_extract_norm = "layer"  # takes a mask
    return config


def from_checkpoint(path: Path) -> SoundEncoder:
    """The encoder in an openai-whisper checkpoint, in float32. Raises OSError, or ValueError where it is none."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        sizes, state = stored["dims"], stored["model_state_dict"]
        config = sound_config(
            {
                "num_mel_bins": sizes["n_mels"],
                "max_source_positions": sizes["n_audio_ctx"],
                "d_model": sizes["n_audio_state"],
                "encoder_attention_heads": sizes["n_audio_head"],
                "encoder_layers": sizes["n_audio_layer"],
                "encoder_ffn_dim": 4 * sizes["n_audio_state"],
                "decoder_layers": 0,
            }
        )
        encoder = SoundEncoder(config)
        encoder.encoder.load_state_dict(_renamed(state))
    except (KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path} is no openai-whisper checkpoint: {error}") from error
    return encoder


def _renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed = {}
    for name, value in state.items():
        if not name.startswith("encoder."):
            continue
        name = name.removeprefix("encoder.")
        if name == "positional_embedding":
            name = "embed_positions.weight"
        for theirs, ours in _RENAMED:
            name = name.replace(theirs, ours)
        renamed[name] = value.float()
    return renamed

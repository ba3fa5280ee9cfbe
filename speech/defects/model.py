"""The defect model: a speech encoder, a marker head on its frames, and two defect heads gated by the marker head.

The marker head gives each frame an intensity per marker letter. `DefectModel.count` makes of it how many of each letter
a clip holds. The gate is the probability that a marker letter sounds at a frame. One defect head, for marker words,
pools the frames weighted by the gate; the other, for the other words, weighted by one minus the gate. So serving needs
no transcript.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, WhisperConfig

from speech.audio.decode import SAMPLE_RATE
from speech.defects.self_similarity import Echo
from speech.defects.spec import REFERENCE_CLASS, ModelSpec
from speech.encoders import whisper_encoder
from speech.encoders.hidden_states import can_be_written, written

GATE_REACH_SECONDS = 0.04  # a letter colours its neighbours: the gate looks this far to both sides of a frame
MIN_INPUT_SECONDS = 0.5  # shorter input is padded: wav2vec 2.0's time masking fails on fewer than ten frames
# Keys through which transformers would fetch code from a hub; names with a leading underscore include more of them.
_NO_CONFIGURATION = ("model_type", "auto_map", "attn_implementation")
_VARIANCE_FLOOR = 1e-7  # as in Hugging Face's Wav2Vec2FeatureExtractor


class Frames(NamedTuple):
    """What the encoder makes of a batch: `hidden` (layers, batch, frames, size) and `mask` (batch, frames), bool."""

    hidden: torch.Tensor
    mask: torch.Tensor


class Output(NamedTuple):
    """What the model makes of a batch of clips."""

    logits: torch.Tensor
    """(batch, classes): the mean of `members`."""
    intensity: torch.Tensor
    """(batch, frames, letters): of the marker head; zero outside the clip."""
    gate: torch.Tensor
    """(batch, frames): the probability that a marker letter sounds there."""
    mask: torch.Tensor
    """(batch, frames), bool: whether the frame is in the clip."""
    evidence: torch.Tensor
    """(batch, frames, classes): what each frame adds to the logits."""
    spelling: torch.Tensor | None
    """(batch, frames, 1 + alphabet): log probabilities of no letter and of each; None where the marker head counts."""
    members: torch.Tensor
    """(members, batch, classes): the logits of each pair of heads."""
    counts: torch.Tensor
    """(batch, letters): how many of each letter are heard in the clip."""
    scores: torch.Tensor
    """(batch, frames, classes): the logits of each frame by itself, from the heads that judge the class. Where classes
    are exclusive, that of no defect is subtracted."""
    features: torch.Tensor
    """(batch, width): the mean over the clip's frames of what the heads for other words judge by."""


class Judged(NamedTuple):
    """What a head makes of frames."""

    evidence: torch.Tensor
    """(batch, frames, classes): what each frame adds to the logits."""
    scores: torch.Tensor
    """(batch, frames, classes): the logits of each frame by itself."""
    features: torch.Tensor
    """(batch, frames, width): what the frames are judged by, without what they repeat."""


class LayerSum(nn.Module):
    """A learned weighted sum over the encoder's layers (2402.01796): (layers, …) to (…)."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(layers))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.einsum("l,lbth->bth", self.weight.softmax(0), hidden)


class MarkerHead(nn.Module):
    """Intensity per marker letter and frame, non-negative: its sum over a span is the expected count there.

    It either only counts, or spells: a softmax over no letter and all letters of the alphabet, of which the marker
    letters' probabilities are the intensity. Spelling is learned by CTC, whose blank is "no letter".
    """

    def __init__(self, layers: int, size: int, letters: Sequence[str], alphabet: str) -> None:
        super().__init__()
        self.layers = LayerSum(layers)
        self.norm = nn.LayerNorm(size)
        self.linear = nn.Linear(size, 1 + len(alphabet) if alphabet else len(letters))
        self._places = [1 + alphabet.index(letter) for letter in letters] if alphabet else None
        if not alphabet:
            nn.init.constant_(self.linear.bias, -3.5)  # about 0.03 a frame: one or two letters a second, as in speech

    def forward(self, frames: Frames) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The intensity (batch, frames, letters), and the log probabilities of spelling where it spells."""
        scores = self.linear(self.norm(self.layers(frames.hidden)))
        inside = frames.mask.unsqueeze(-1)
        if self._places is None:
            return nn.functional.softplus(scores) * inside, None
        spelling = scores.log_softmax(-1)
        return spelling[..., self._places].exp() * inside, spelling


class GatedHead(nn.Module):
    """Class logits from the frames that a gate lets through, by attention pooling.

    A frame weighs gate * exp(score); a constant 1 in the normaliser lets the pooled vector fade to zero where the gate
    lets nothing through, so a head without frames has no say. With `echo` a frame also knows what it repeats.
    """

    def __init__(self, layers: int, size: int, width: int, classes: int, *, echo: bool = False) -> None:
        super().__init__()
        self.layers = LayerSum(layers)
        self.features = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width), nn.GELU(), nn.Dropout(0.1))
        self.echo = Echo(size, width // 2) if echo else None
        known = width + width // 2 if echo else width
        self.score = nn.Linear(known, 1)
        self.classes = nn.Linear(known, classes)

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor) -> Judged:
        """hidden (layers, batch, frames, size), gate (batch, frames) from 0 to 1.

        The logits are the sum of the evidence over time plus the bias of `classes`.
        """
        frames = self.layers(hidden)
        plain = features = self.features(frames)
        if self.echo is not None:
            features = torch.cat([features, self.echo(frames, gate)], dim=-1)
        score = self.score(features).squeeze(-1).float().clamp(-10, 10)
        weight = gate * score.exp()
        weight = weight / (1.0 + weight.sum(1, keepdim=True))
        scores = nn.functional.linear(features, self.classes.weight)
        return Judged(weight.unsqueeze(-1) * scores, scores, plain)


class HeadPair(nn.Module):
    """A marker-word head and an other-words head."""

    def __init__(self, layers: int, size: int, spec: ModelSpec) -> None:
        super().__init__()
        self.marker_words = GatedHead(layers, size, spec.width, len(spec.classes))
        self.other_words = GatedHead(layers, size, spec.width, len(spec.classes), echo=spec.echo)


class DefectModel(nn.Module):
    """Encoder, marker head, and the two defect heads. Input is normalised, padded sound: see `collate`."""

    def __init__(self, spec: ModelSpec, encoder: nn.Module | None = None) -> None:
        """`encoder`: an already loaded Hugging Face model; without it one is built from `spec.encoder`, untrained."""
        super().__init__()
        self.spec = spec
        config = encoder_config(spec.encoder)
        self.encoder = encoder if encoder is not None else _untrained(config)
        self._layers_are_written = can_be_written(self.encoder)
        layers, size = config.num_hidden_layers + 1, config.hidden_size
        self.marker_head = MarkerHead(layers, size, spec.letters, spec.alphabet)
        self.marker_words = GatedHead(layers, size, spec.width, len(spec.classes))
        self.other_words = GatedHead(layers, size, spec.width, len(spec.classes), echo=spec.echo)
        # The first pair stands in the model itself, as in the bundles of one pair.
        self.more = nn.ModuleList(HeadPair(layers, size, spec) for _ in range(spec.members - 1))
        self.marked: torch.Tensor
        self.register_buffer("marked", torch.tensor(spec.marked, dtype=torch.float32), persistent=False)
        self.count_scale: torch.Tensor
        self.register_buffer("count_scale", torch.ones(len(spec.letters)))
        self._depth, self._size = layers, size
        self._kernels = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.takes_mask = getattr(config, "feat_extract_norm", "layer") == "layer"

    @property
    def depth(self) -> int:
        """Layers of the encoder that the heads see, its input included."""
        return self._depth

    @property
    def size(self) -> int:
        """Features of a frame in each layer."""
        return self._size

    @property
    def frame_seconds(self) -> float:
        """Seconds from one frame to the next."""
        return math.prod(stride for _, stride in self._kernels) / SAMPLE_RATE

    def frame_count(self, samples: torch.Tensor) -> torch.Tensor:
        """Frames that the encoder makes of so many samples (any integer tensor)."""
        for kernel, stride in self._kernels:
            samples = torch.div(samples - kernel, stride, rounding_mode="floor") + 1
        return samples.clamp(min=1)

    def encode(self, sound: torch.Tensor, lengths: torch.Tensor) -> Frames:
        """sound (batch, samples), lengths (batch,) in samples."""
        mask = None
        if self.takes_mask:  # group-norm encoders were trained without one
            mask = (torch.arange(sound.shape[1], device=sound.device) < lengths.unsqueeze(1)).long()
        precision = next(self.encoder.parameters()).dtype
        given = sound.to(precision)
        if self._layers_are_written and not torch.is_grad_enabled():
            hidden = written(lambda: self.encoder(given, attention_mask=mask), self.depth)
        else:
            hidden = torch.stack(self.encoder(given, attention_mask=mask, output_hidden_states=True).hidden_states)
        if precision != sound.dtype:
            hidden = hidden.to(sound.dtype)
        inside = torch.arange(hidden.shape[2], device=sound.device) < self.frame_count(lengths).unsqueeze(1)
        return Frames(hidden, inside)

    def gate(self, intensity: torch.Tensor) -> torch.Tensor:
        """Probability that a marker letter sounds within reach of each frame; (batch, frames), without gradient.

        Counts with intensity λ are Poisson, so nothing sounds with probability exp(-Σλ) over the window.
        """
        reach = max(1, round(GATE_REACH_SECONDS / self.frame_seconds))
        total = intensity.detach().sum(-1)
        window = nn.functional.avg_pool1d(
            total.unsqueeze(1), 2 * reach + 1, stride=1, padding=reach, count_include_pad=True
        ).squeeze(1) * (2 * reach + 1)
        return 1.0 - torch.exp(-window)

    @property
    def heads(self) -> list[HeadPair | DefectModel]:
        """All pairs of heads."""
        return [self, *self.more]

    def judge(self, frames: Frames, gate: torch.Tensor) -> tuple[torch.Tensor, Judged]:
        """Class logits of each pair (members, batch, classes), and the mean over pairs of what they make of each frame:
        the marker-word head on gated frames, the other head on the rest, or on all frames where it is the only one."""
        logits, frames_judged = zip(*(self._judge(pair, frames, gate) for pair in self.heads), strict=True)
        return torch.stack(logits), Judged(*(torch.stack(part).mean(0) for part in zip(*frames_judged, strict=True)))

    def _judge(self, pair: HeadPair | DefectModel, frames: Frames, gate: torch.Tensor) -> tuple[torch.Tensor, Judged]:
        inside = frames.mask.to(gate.dtype)
        other_gate = (1.0 - gate) * inside if self.spec.two_heads else inside
        evidence, scores, features = pair.other_words(frames.hidden, other_gate)
        scores = self._beyond(scores)
        bias: torch.Tensor = pair.other_words.classes.bias
        if self.spec.two_heads and self.spec.letters:
            marked = pair.marker_words(frames.hidden, gate * inside)
            evidence = evidence + self.marked * marked.evidence
            bias = bias + self.marked * pair.marker_words.classes.bias
            scores = torch.where(self.marked > 0, self._beyond(marked.scores), scores)
        return evidence.sum(1) + bias, Judged(evidence, scores, features)

    def _beyond(self, scores: torch.Tensor) -> torch.Tensor:
        """Scores (…, classes) beyond those of no defect, where classes are exclusive."""
        if not self.spec.exclusive or REFERENCE_CLASS not in self.spec.classes:
            return scores
        return scores - scores[..., [self.spec.classes.index(REFERENCE_CLASS)]]

    def forward(self, sound: torch.Tensor, lengths: torch.Tensor) -> Output:
        """sound (batch, samples), lengths (batch,) in samples."""
        return self.of_frames(self.encode(sound, lengths))

    def of_frames(self, frames: Frames) -> Output:
        """What the heads make of what the encoder has heard."""
        intensity, spelling = self.marker_head(frames)
        gate = self.gate(intensity)
        members, (evidence, scores, features) = self.judge(frames, gate)
        counts = self.count(intensity) * self.count_scale
        inside = frames.mask.unsqueeze(-1)
        mean = (features * inside).sum(1) / inside.sum(1)
        return Output(members.mean(0), intensity, gate, frames.mask, evidence, spelling, members, counts, scores, mean)

    def count(self, intensity: torch.Tensor) -> torch.Tensor:
        """(batch, frames, letters) to how many of each letter there are (batch, letters).

        An intensity that was learned from counts adds up to them. One that spells is a probability and stays high for
        as long as a letter lasts, so what counts is how often it rises.
        """
        if not self.spec.alphabet:
            return intensity.sum(1)
        return nn.functional.pad(intensity, (0, 0, 1, 0)).diff(dim=1).clamp(min=0).sum(1)


def encoder_config(value: dict[str, Any]) -> PreTrainedConfig:
    """A Hugging Face configuration from its dict; raises ValueError where it is no encoder on raw sound."""
    if "model_type" not in value:
        raise ValueError("the encoder's configuration has no model_type (wav2vec2, hubert, wavlm, …)")
    values = {key: item for key, item in value.items() if key not in _NO_CONFIGURATION and not key.startswith("_")}
    if value["model_type"] == whisper_encoder.MODEL_TYPE:
        return whisper_encoder.sound_config(values)
    config = AutoConfig.for_model(value["model_type"], **values)
    if not hasattr(config, "conv_stride") or not hasattr(config, "conv_kernel"):
        raise ValueError(f"{value['model_type']} is no encoder of raw sound; use wav2vec2, hubert, wavlm or the like")
    config.layerdrop = 0.0  # the weighted sum of layers needs every layer
    return config


def _untrained(config: PreTrainedConfig) -> nn.Module:
    if isinstance(config, WhisperConfig):
        return whisper_encoder.SoundEncoder(config)
    return AutoModel.from_config(config, trust_remote_code=False)


def collate(clips: Sequence[np.ndarray], normalise: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of mono float32 at 16 kHz as one padded batch (batch, samples) and their lengths in samples.

    Each clip is normalised by itself before padding, so a clip's values do not depend on its batch.
    """
    lengths = [len(clip) for clip in clips]
    width = max(*lengths, int(MIN_INPUT_SECONDS * SAMPLE_RATE)) if lengths else 0
    batch = torch.zeros(len(clips), width)
    for row, clip in zip(batch, clips, strict=True):
        values = torch.from_numpy(np.array(clip, dtype=np.float32))
        if normalise:
            values = (values - values.mean()) / torch.sqrt(values.var(correction=0) + _VARIANCE_FLOOR)
        row[: len(clip)] = values
    return batch, torch.tensor([max(length, int(MIN_INPUT_SECONDS * SAMPLE_RATE)) for length in lengths])

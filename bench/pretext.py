"""Pretext tasks on frozen features: where the marker letters are, learnt from what a clip holds, never from places."""

from __future__ import annotations

import torch
from torch import nn

from bench.features import Clip, pad
from bench.places import LEAST_COUNTED, LEAST_SPELLED, LETTERS, NEAR_SECONDS, Found, match, peaks
from pipeline.defects.losses import count_loss
from speech.defects.model import GATE_REACH_SECONDS, Frames, LayerSum, MarkerHead

TASKS = ("counts", "letters", "letters and prior", "both")
ALPHABET = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
FRAME_SECONDS = 0.02
PRIOR_WEIGHT = 0.3


class Marker(nn.Module):
    """Marker letters per frame, learnt from a clip's counts, from its ordered letters (CTC), or from both."""

    def __init__(self, layers: int, size: int, task: str) -> None:
        super().__init__()
        self.task = task
        self.layers, self.norm = LayerSum(layers), nn.LayerNorm(size)
        self.linear = nn.Linear(size, len(LETTERS) if task == "counts" else len(ALPHABET) + 1)
        nn.init.constant_(self.linear.bias, -3.5 if task == "counts" else 0.0)

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """(batch, frames, letters) before any normalising."""
        return self.linear(self.norm(self.layers(hidden)))

    def intensity(self, hidden: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """(batch, frames, letters): how many of each letter sound at a frame."""
        scores = self.scores(hidden)
        if self.task == "counts":
            return nn.functional.softplus(scores) * inside.unsqueeze(-1)
        at = [ALPHABET.index(letter) + 1 for letter in LETTERS]
        return scores.softmax(-1)[..., at] * inside.unsqueeze(-1)

    def loss(self, hidden: torch.Tensor, inside: torch.Tensor, clips: list[Clip]) -> torch.Tensor:
        """Of a batch of `bench.features.batches`."""
        loss = torch.zeros(())
        if self.task in ("counts", "both"):
            counts = [[sum(row[0] == letter for row in clip.letters) for letter in LETTERS] for clip in clips]
            loss = loss + count_loss(self.intensity(hidden, inside).sum(1), torch.tensor(counts).float())
        if self.task != "counts":
            loss = loss + self._spelling(hidden, inside, clips)
        return loss

    def _spelling(self, hidden: torch.Tensor, inside: torch.Tensor, clips: list[Clip]) -> torch.Tensor:
        target = [
            [ALPHABET.index(c) + 1 for c in clip.text.lower().replace("ё", "е") if c in ALPHABET] for clip in clips
        ]
        logs = self.scores(hidden).log_softmax(-1).transpose(0, 1)
        if self.task == "letters and prior":  # 2406.02560: divided by the label prior, CTC's peaks widen
            prior = logs.exp().mean((0, 1)).detach().clamp(min=1e-4).log()
            logs = (logs - PRIOR_WEIGHT * prior).log_softmax(-1)
        return nn.functional.ctc_loss(
            logs,
            torch.tensor([letter for row in target for letter in row]),
            inside.sum(1).long(),
            torch.tensor([len(row) for row in target]),
            zero_infinity=True,
        )


class Shipped:
    """The marker letters that an encoder's own marker head gives."""

    def __init__(self, head: MarkerHead) -> None:
        self._head = head

    @torch.inference_mode()
    def intensity(self, hidden: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """As `Marker.intensity`, of probabilities: a letter adds up to as many frames as it lasts."""
        return self._head(Frames(hidden, inside > 0))[0]


Gates = Marker | Shipped


@torch.inference_mode()
def gate_of(marker: Gates, hidden: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """As `DefectModel.gate`."""
    reach = round(GATE_REACH_SECONDS / FRAME_SECONDS)
    total = marker.intensity(hidden, inside).sum(-1).unsqueeze(1)
    window = nn.functional.avg_pool1d(total, 2 * reach + 1, stride=1, padding=reach) * (2 * reach + 1)
    return 1 - torch.exp(-window.squeeze(1))


@torch.inference_mode()
def found_letters(marker: Gates, clips: list[Clip]) -> float:
    """F1 of the peaks of a marker's intensity, see `bench.places`."""
    found = Found()
    least = LEAST_COUNTED if isinstance(marker, Marker) else LEAST_SPELLED
    for clip in clips:
        hidden, inside = pad([clip.hidden[0]])
        intensity = marker.intensity(hidden, inside)[0].numpy()
        for index, letter in enumerate(LETTERS):
            spans = [(start, end) for name, start, end in clip.letters if name == letter]
            found += match(peaks(intensity[:, index], FRAME_SECONDS, least), spans, NEAR_SECONDS)
    return found.f1

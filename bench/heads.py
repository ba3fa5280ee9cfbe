"""Pretext tasks and defect heads on a frozen encoder: which localise р and г, which tell defects apart.

    python -m bench.heads --corpus var/bench/corpus.zip --encoder encoders/small

The encoder's layers are computed once per clip; every variant then trains on the same features, three seeds each, and
is judged on voices and sentences that neither it nor the encoder has heard. It is a quick proxy of whole fine-tuning,
which `python -m bench.recipe` measures.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from transformers import AutoModel

from bench.places import LETTERS, NEAR_SECONDS, Found, match, peaks
from pipeline.training.augmentation import Augmentation
from pipeline.training.losses import count_loss
from samples.make_mini import LABELS
from speech.audio import decode
from speech.model import GATE_REACH_SECONDS, GatedHead, LayerSum, collate

ALPHABET = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
FRAME_SECONDS = 0.02


@dataclass
class Clip:
    """`hidden`: one (layers, frames, size) per copy of the clip, the first unchanged."""

    label: int
    split: str
    text: str
    letters: list[list[Any]]
    defects: list[list[Any]]
    hidden: list[torch.Tensor] = field(default_factory=list)


def load(corpus: Path, encoder: nn.Module, copies: int, seed: int) -> list[Clip]:
    """Clips with their features; training clips also as `copies` augmented ones."""
    places = json.loads(corpus.with_suffix(".places.json").read_text(encoding="utf-8"))
    clips, augment, rng = [], Augmentation(), np.random.default_rng(seed)
    with zipfile.ZipFile(corpus) as archive, tempfile.TemporaryDirectory() as folder:
        rows = list(csv.DictReader(io.StringIO(archive.read("data_train.csv").decode())))
        for number, row in enumerate(rows, start=1):
            known = places[row["file"]]
            path = Path(folder) / row["file"]
            path.write_bytes(archive.read(f"data_mp3/train/{row['file']}"))
            sound = decode(path).samples
            path.unlink()
            clip = Clip(LABELS.index(row["label"]), known["split"], row["text"], known["letters"], known["defects"])
            clip.hidden.append(layers(encoder, sound))
            if clip.split != "test":
                clip.hidden += [layers(encoder, augment(sound, rng)) for _ in range(copies)]
            clips.append(clip)
            if number % 200 == 0:
                print(f"{number} of {len(rows)} clips encoded", flush=True)
    return clips


@torch.inference_mode()
def layers(encoder: nn.Module, sound: np.ndarray) -> torch.Tensor:
    """(layers, frames, size) in half precision."""
    batch, lengths = collate([sound])
    mask = (torch.arange(batch.shape[1]) < lengths.unsqueeze(1)).long()
    states = encoder(batch, attention_mask=mask, output_hidden_states=True).hidden_states
    return torch.cat(states).half()


class Mean(nn.Module):
    """Mean over frames."""

    def __init__(self, layers: int, size: int, width: int, classes: int) -> None:
        super().__init__()
        self.layers = LayerSum(layers)
        self.features = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width), nn.GELU(), nn.Dropout(0.1))
        self.classes = nn.Linear(width, classes)

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        features = self.features(self.layers(hidden))
        weight = gate / gate.sum(1, keepdim=True).clamp(min=1e-6)
        return self.classes((weight.unsqueeze(-1) * features).sum(1))


class Attention(GatedHead):
    """The head that the model has."""

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return super().forward(hidden, gate).sum(1) + self.classes.bias


class FrameLogits(nn.Module):
    """Class logits per frame, pooled over time: `soft` maximum, `linear` softmax or `power` pooling."""

    def __init__(self, layers: int, size: int, width: int, classes: int, pooling: str, reach: int = 5) -> None:
        super().__init__()
        self.layers = LayerSum(layers)
        self.norm = nn.LayerNorm(size)
        self.context = nn.Conv1d(size, width, reach, padding=reach // 2)
        self.drop = nn.Dropout(0.1)
        self.classes = nn.Linear(width, classes)
        self.power = nn.Parameter(torch.ones(classes))
        self.pooling = pooling

    def frames(self, hidden: torch.Tensor) -> torch.Tensor:
        features = self.context(self.norm(self.layers(hidden)).transpose(1, 2)).transpose(1, 2)
        return self.classes(self.drop(nn.functional.gelu(features)))

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        logits = self.frames(hidden)
        gate = gate.unsqueeze(-1)
        if self.pooling == "soft":
            sharpness = nn.functional.softplus(self.power)
            pooled = (gate.clamp(min=1e-6).log() + sharpness * logits).logsumexp(1)
            return (pooled - gate.sum(1).clamp(min=1e-6).log()) / sharpness
        probability = logits.softmax(-1)
        power = 1.0 if self.pooling == "linear" else nn.functional.softplus(self.power)
        weight = gate * probability.clamp(min=1e-6) ** power
        return ((weight * probability).sum(1) / weight.sum(1).clamp(min=1e-6)).clamp(min=1e-6).log()


class Two(nn.Module):
    """A head on the frames where a marker letter sounds, and one on the others; classes without letters have no
    say in the first."""

    def __init__(self, make: Any, floor: float = 0.0) -> None:
        super().__init__()
        self.marker, self.other, self.floor = make(), make(), floor
        self.marked: torch.Tensor
        self.register_buffer("marked", torch.tensor([1.0, 1.0, 1.0, 0.0]))

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        gate = self.floor + (1 - self.floor) * gate
        return self.marked * self.marker(hidden, gate * inside) + self.other(hidden, (1 - gate) * inside)


class One(nn.Module):
    """One head on all frames, of all layers or (`last`) of the last alone."""

    def __init__(self, make: Any, *, last: bool = False) -> None:
        super().__init__()
        self.head, self.last = make(), last

    def forward(self, hidden: torch.Tensor, gate: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        return self.head(hidden[-1:] if self.last else hidden, inside)


def batches(clips: list[Clip], seed: int, size: int = 16) -> Any:
    """One pass: (hidden (layers, batch, frames, size), inside (batch, frames), clips), like lengths together."""
    rng = np.random.default_rng(seed)
    picked = [(clip, clip.hidden[rng.integers(len(clip.hidden))]) for clip in clips]
    picked.sort(key=lambda item: item[1].shape[1] + rng.uniform(0, 20))
    groups = [picked[start : start + size] for start in range(0, len(picked), size)]
    for number in rng.permutation(len(groups)):
        yield *pad([hidden for _, hidden in groups[number]]), [clip for clip, _ in groups[number]]


def pad(states: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of several clips side by side, and which frames are theirs."""
    most = max(state.shape[1] for state in states)
    hidden = torch.stack([nn.functional.pad(state.float(), (0, 0, 0, most - state.shape[1])) for state in states], 1)
    inside = torch.stack([(torch.arange(most) < state.shape[1]).float() for state in states])
    return hidden, inside


class Marker(nn.Module):
    """Marker letters per frame, learnt from counts of a clip (`counts`) or from its ordered letters (`ctc`)."""

    def __init__(self, layers: int, size: int, task: str) -> None:
        super().__init__()
        self.task = task
        self.layers, self.norm = LayerSum(layers), nn.LayerNorm(size)
        self.linear = nn.Linear(size, len(LETTERS) if task == "counts" else len(ALPHABET) + 1)
        nn.init.constant_(self.linear.bias, -3.5 if task == "counts" else 0.0)

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.linear(self.norm(self.layers(hidden)))

    def intensity(self, hidden: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """(batch, frames, letters): how many of each letter sound at a frame."""
        scores = self.scores(hidden)
        if self.task == "counts":
            return nn.functional.softplus(scores) * inside.unsqueeze(-1)
        at = [ALPHABET.index(letter) + 1 for letter in LETTERS]
        return scores.softmax(-1)[..., at] * inside.unsqueeze(-1)

    def loss(self, hidden: torch.Tensor, inside: torch.Tensor, clips: list[Clip]) -> torch.Tensor:
        if self.task == "counts":
            counts = torch.tensor(
                [[sum(row[0] == letter for row in clip.letters) for letter in LETTERS] for clip in clips]
            )
            return count_loss(self.intensity(hidden, inside).sum(1), counts.float())
        target = [
            [ALPHABET.index(c) + 1 for c in clip.text.lower().replace("ё", "е") if c in ALPHABET] for clip in clips
        ]
        logs = self.scores(hidden).log_softmax(-1).transpose(0, 1)
        prior = torch.zeros(())
        if self.task == "ctc_prior":  # 2406.02560: divided by the label prior, CTC's peaks widen
            mean = logs.exp().mean((0, 1)).detach().clamp(min=1e-4).log()
            prior = 0.3 * mean
        return nn.functional.ctc_loss(
            (logs - prior).log_softmax(-1),
            torch.tensor([letter for row in target for letter in row]),
            inside.sum(1).long(),
            torch.tensor([len(row) for row in target]),
            zero_infinity=True,
        )


def learn(module: nn.Module, clips: list[Clip], epochs: int, seed: int, loss_of: Any) -> None:
    """Train a module on frozen features."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.02)
    steps = epochs * -(-len(clips) // 16)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps + 1)
    module.train()
    for epoch in range(epochs):
        for hidden, inside, chosen in batches(clips, seed * 1000 + epoch):
            loss = loss_of(hidden, inside, chosen)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    module.eval()


@torch.inference_mode()
def gate_of(marker: Marker, hidden: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """As `DefectModel.gate`."""
    reach = round(GATE_REACH_SECONDS / FRAME_SECONDS)
    total = marker.intensity(hidden, inside).sum(-1).unsqueeze(1)
    window = nn.functional.avg_pool1d(total, 2 * reach + 1, stride=1, padding=reach) * (2 * reach + 1)
    return 1 - torch.exp(-window.squeeze(1))


@torch.inference_mode()
def found_letters(marker: Marker, clips: list[Clip]) -> float:
    """F1 of the peaks of a marker's intensity, see `bench.places`."""
    found = Found()
    for clip in clips:
        hidden, inside = pad([clip.hidden[0]])
        intensity = marker.intensity(hidden, inside)[0].numpy()
        for index, letter in enumerate(LETTERS):
            spans = [(start, end) for name, start, end in clip.letters if name == letter]
            found += match(peaks(intensity[:, index], FRAME_SECONDS), spans, NEAR_SECONDS)
    return found.f1


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare pretext tasks and heads on a frozen encoder.")
    parser.add_argument("--corpus", type=Path, default=Path("var/bench/corpus.zip"))
    parser.add_argument("--encoder", default="encoders/small")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--only", default="", help="variants whose name contains this")
    options = parser.parse_args()
    encoder = AutoModel.from_pretrained(options.encoder).float().eval()
    clips = load(options.corpus, encoder, options.copies, seed=1)
    training, test = [c for c in clips if c.split != "test"], [c for c in clips if c.split == "test"]
    count, size = clips[0].hidden[0].shape[0], clips[0].hidden[0].shape[2]
    shape = (count, size, 128, len(LABELS))
    markers = {}
    for task in ("counts", "ctc", "ctc_prior"):
        torch.manual_seed(0)
        marker = Marker(count, size, task)
        learn(marker, training, options.epochs, 0, marker.loss)
        markers[task] = marker
        print(f"pretext {task:10} р and г within 50 ms, F1 {found_letters(marker, test):.3f}", flush=True)
    gates = markers["counts"]
    variants = {
        "one head, mean": lambda: One(lambda: Mean(*shape)),
        "one head, attention": lambda: One(lambda: Attention(*shape)),
        "one head, attention, last layer": lambda: One(lambda: Attention(1, *shape[1:]), last=True),
        "one head, linear softmax": lambda: One(lambda: FrameLogits(*shape, "linear")),
        "one head, power": lambda: One(lambda: FrameLogits(*shape, "power")),
        "one head, soft maximum": lambda: One(lambda: FrameLogits(*shape, "soft")),
        "two heads, attention": lambda: Two(lambda: Attention(*shape)),
        "two heads, attention, floor": lambda: Two(lambda: Attention(*shape), floor=0.1),
        "two heads, soft maximum": lambda: Two(lambda: FrameLogits(*shape, "soft")),
    }
    for name, make in variants.items():
        if options.only not in name:
            continue
        scores = []
        for seed in range(options.seeds):
            torch.manual_seed(seed)
            model = make()

            def loss_of(
                hidden: torch.Tensor, inside: torch.Tensor, chosen: list[Clip], model: nn.Module = model
            ) -> Any:
                gate = gate_of(gates, hidden, inside).clone()
                return nn.functional.cross_entropy(
                    model(hidden, gate, inside), torch.tensor([clip.label for clip in chosen]), label_smoothing=0.05
                )

            learn(model, training, options.epochs, seed, loss_of)
            with torch.inference_mode():
                answers = [
                    int(model(hidden, gate_of(gates, hidden, inside), inside).argmax())
                    for hidden, inside in (pad([clip.hidden[0]]) for clip in test)
                ]
            scores.append(f1_score([clip.label for clip in test], answers, average="macro"))
        print(f"{name:30} macro-F1 {np.mean(scores):.3f} ± {np.std(scores):.3f}  {np.round(scores, 3)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

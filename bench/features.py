"""Clips of a corpus with the features that a frozen encoder gives them, computed once."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.defects.encoder_cache import side_by_side
from pipeline.training.augmentation import Augmentation
from samples.make_mini import LABELS
from speech.audio.decode import decode
from speech.defects.model import DefectModel, collate

Batch = tuple[torch.Tensor, torch.Tensor, list["Clip"]]


@dataclass
class Clip:
    """`hidden`: one (layers, frames, size) per copy of the clip, the first unchanged."""

    label: int
    split: str
    text: str
    letters: list[list[Any]]
    defects: list[list[Any]]
    hidden: list[torch.Tensor] = field(default_factory=list)


def load(corpus: Path, model: DefectModel, copies: int, seed: int) -> list[Clip]:
    """Clips with their features; training clips also as `copies` augmented ones."""
    places = json.loads(corpus.with_suffix(".places.json").read_text(encoding="utf-8"))
    clips, augment, rng = [], Augmentation(), np.random.default_rng(seed)
    with zipfile.ZipFile(corpus) as archive, tempfile.TemporaryDirectory() as folder:
        rows = [row for row in csv.DictReader(io.StringIO(archive.read("data_train.csv").decode())) if row["label"]]
        rows = [row for row in rows if places[row["file"]]["group"] == "espeak"]  # the other has two of the classes
        for number, row in enumerate(rows, start=1):
            known = places[row["file"]]
            path = Path(folder) / row["file"]
            path.write_bytes(archive.read(f"data_mp3/train/{row['file']}"))
            sound = decode(path).samples
            path.unlink()
            clip = Clip(LABELS.index(row["label"]), known["split"], row["text"], known["letters"], known["defects"])
            clip.hidden.append(layers(model, sound))
            if clip.split != "test":
                clip.hidden += [layers(model, augment(augment.at_speed(sound, rng)[0], rng)) for _ in range(copies)]
            clips.append(clip)
            if number % 200 == 0:
                print(f"{number} of {len(rows)} clips encoded", flush=True)
    return clips


@torch.inference_mode()
def layers(model: DefectModel, sound: np.ndarray) -> torch.Tensor:
    """(layers, frames, size) in half precision."""
    return model.encode(*collate([sound], model.spec.normalise)).hidden[:, 0].half()


def batches(clips: list[Clip], seed: int, size: int = 16) -> Iterator[Batch]:
    """One pass: (hidden (layers, batch, frames, size), inside (batch, frames), clips), like lengths together."""
    rng = np.random.default_rng(seed)
    picked = [(clip, clip.hidden[rng.integers(len(clip.hidden))]) for clip in clips]
    picked.sort(key=lambda item: item[1].shape[1] + rng.uniform(0, 20))
    groups = [picked[start : start + size] for start in range(0, len(picked), size)]
    for number in rng.permutation(len(groups)):
        yield *pad([hidden for _, hidden in groups[number]]), [clip for clip, _ in groups[number]]


def pad(states: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of several clips side by side, and which frames are theirs."""
    frames = side_by_side(states)
    return frames.hidden, frames.mask.float()


def learn(
    module: nn.Module,
    clips: list[Clip],
    epochs: int,
    seed: int,
    loss_of: Callable[[torch.Tensor, torch.Tensor, list[Clip]], torch.Tensor],
) -> None:
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

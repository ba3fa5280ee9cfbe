"""What an encoder that stays as it is hears of each clip, worked out once and kept beside the training.

A clip is kept as it is and in several changed copies, of which every epoch draws one. Heads then train in a fraction of
the time, since nearly all of it goes into the encoder, and a second training finds the work of the first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import Dataset

from pipeline.progress import Report, seconds_text
from pipeline.training.examples import Example, ExampleSet, labels_of
from pipeline.training.sharing import processes, rank, wait
from pipeline.training.tasks import HIDDEN
from speech.defects.model import DefectModel, Frames, collate

_INTERVAL = 10.0  # seconds between lines
_AT_ONCE = 16  # clips that a GPU hears together; a processor gains nothing from more than one
_FRAMES, _LABELS = "frames", "labels"


@dataclass(frozen=True)
class StateCache:
    """Where and how much is kept: `copies` changed versions of each clip beside itself, drawn by `seed`."""

    folder: Path
    copies: int
    seed: int
    longer: float = 0.0
    """Seconds by which changed copies are longer, on average, than the clips."""

    def needed(self, model: DefectModel, examples: Sequence[Example], crop_seconds: float) -> int:
        """Bytes that all versions of the examples take."""
        plain = sum(min(example.seconds, crop_seconds) for example in examples)
        changed = sum(min(example.seconds + self.longer, crop_seconds) for example in examples)
        frames = (plain + self.copies * changed) / model.frame_seconds
        return int(frames * model.depth * model.size * 2)

    def fits(self, needed: int) -> bool:
        """Whether the disk has room for so many bytes, less what is there already, and for half as many besides."""
        self.folder.mkdir(parents=True, exist_ok=True)
        there = sum(file.stat().st_size for file in self.folder.iterdir())
        return 1.5 * (needed - there) < shutil.disk_usage(self.folder).free

    def file(self, example: Example, version: int) -> Path:
        """The file of one version of a clip; 0 is the clip as it is."""
        return self.folder / f"{hashlib.sha256(example.clip.encode()).hexdigest()[:32]}-{version}.safetensors"


class HiddenStateSet(Dataset[dict[str, object]]):
    """Examples for a Trainer, as `cache_states` kept them: `hidden` (layers, frames, size) and `labels`.

    While training each is drawn from all its versions, else it is the clip as it is. Which one follows from the
    cache's seed, epoch and index alone, as in `pipeline.training.examples.ExampleSet`.
    """

    def __init__(self, examples: Sequence[Example], cache: StateCache, *, training: bool) -> None:
        self.examples = list(examples)
        self._cache, self._epoch = cache, 0
        self._versions = 1 + cache.copies if training else 1

    @property
    def lengths(self) -> list[int]:
        """Milliseconds per example, for batches of like length."""
        return [int(example.seconds * 1000) for example in self.examples]

    def __len__(self) -> int:
        return len(self.examples)

    def set_epoch(self, epoch: int) -> None:
        """Draw anew; the Trainer's loader says so before each epoch."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> dict[str, object]:
        version = int(np.random.default_rng((self._cache.seed, self._epoch, index)).integers(self._versions))
        hidden, labels = _read(self._cache.file(self.examples[index], version))
        return {HIDDEN: hidden, "labels": labels}


class HiddenStateCollator:
    """Examples of a `HiddenStateSet` to a batch: `hidden` (layers, batch, frames, size), `mask` (batch, frames) and
    `labels`."""

    def __init__(self, several: int | None) -> None:
        self._several = several

    def __call__(self, items: Sequence[dict[str, object]]) -> dict[str, torch.Tensor]:
        frames = side_by_side([item[HIDDEN] for item in items])  # type: ignore[misc]
        labels = labels_of([item["labels"] for item in items], self._several)  # type: ignore[misc]
        return {HIDDEN: frames.hidden, "mask": frames.mask, "labels": labels}


def side_by_side(states: Sequence[torch.Tensor]) -> Frames:
    """Clips of (layers, frames, size) as one padded batch, in float32."""
    most = max(state.shape[1] for state in states)
    hidden = torch.stack([nn.functional.pad(state.float(), (0, 0, 0, most - state.shape[1])) for state in states], 1)
    return Frames(hidden, torch.stack([torch.arange(most) < state.shape[1] for state in states]))


def cache_states(
    model: DefectModel,
    plain: ExampleSet,
    changed: ExampleSet,
    cache: StateCache,
    report: Report,
    device: torch.device,
    at_once: int | None = None,
) -> None:
    """Keep what `model`, in evaluation mode, hears of every example of `plain`, and of its changed copies in `changed`.

    Versions that are there already, of an earlier training or of one that was killed, are not worked out again; the
    same seed changes a clip in the same way. Of several processes each hears its share. A GPU hears clips of like
    length together, where the encoder tells padding from sound; `at_once` says how many instead.
    """
    cache.folder.mkdir(parents=True, exist_ok=True)
    by_length = sorted(range(len(plain)), key=lambda index: plain.lengths[index])
    wanted = [
        (index, version)
        for index in by_length
        for version in range(1 + cache.copies)
        if not cache.file(plain.examples[index], version).exists()
    ]
    model.to(device).eval()
    wait()  # all have seen what is wanted
    wanted = wanted[rank() :: processes()]
    at_once = at_once or (_AT_ONCE if device.type == "cuda" and model.takes_mask else 1)
    began = said = time.monotonic()
    for first in range(0, len(wanted), at_once):
        together = wanted[first : first + at_once]
        items = [_item(plain, changed, cache, index, version) for index, version in together]
        for (index, version), item, hidden in zip(together, items, _heard(model, items, device), strict=True):
            _write(cache.file(plain.examples[index], version), hidden, item["labels"])  # type: ignore[arg-type]
        now = time.monotonic()
        if now - said > _INTERVAL:
            said, done = now, first + len(together)
            left = seconds_text((now - began) / done * (len(wanted) - done))
            report(f"heads: {done} of {len(wanted)} versions of clips heard, {left} left")
    wait()


def _item(plain: ExampleSet, changed: ExampleSet, cache: StateCache, index: int, version: int) -> dict[str, object]:
    rng = np.random.default_rng(_seed(cache.seed, plain.examples[index].clip, version))
    return (changed if version else plain).item(index, rng)


@torch.inference_mode()
def counts_from_cache(model: DefectModel, examples: Sequence[Example], cache: StateCache) -> Iterator[list[float]]:
    """How many of each marker letter the model counts in each example as it is."""
    device = next(model.parameters()).device
    for example in examples:
        frames = side_by_side([_read(cache.file(example, 0))[0]])
        yield model.of_frames(Frames(frames.hidden.to(device), frames.mask.to(device))).counts[0].tolist()


@torch.inference_mode()
def _heard(model: DefectModel, items: Sequence[dict[str, object]], device: torch.device) -> list[torch.Tensor]:
    """What is heard of each item, (layers, frames, size), without padding."""
    sound, lengths = collate([item["samples"] for item in items], model.spec.normalise)  # type: ignore[misc]
    frames = model.encode(sound.to(device), lengths.to(device))
    counts = frames.mask.sum(1).tolist()
    return [_halved(frames.hidden[:, row, :count].cpu()) for row, count in enumerate(counts)]


def _halved(hidden: torch.Tensor) -> torch.Tensor:
    half = hidden.half()
    # Some large encoders have layers beyond what half precision can hold; bfloat16 holds all, less exactly.
    return half if torch.isfinite(half).all() else hidden.bfloat16()


def _write(path: Path, hidden: torch.Tensor, labels: Sequence[int]) -> None:
    unfinished = path.with_suffix(".part")
    save_file({_FRAMES: hidden.contiguous()}, unfinished, metadata={_LABELS: json.dumps(list(labels))})
    os.replace(unfinished, path)  # a kill leaves no half version behind


def _read(path: Path) -> tuple[torch.Tensor, tuple[int, ...]]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(_FRAMES), tuple(json.loads(file.metadata()[_LABELS]))
    except (OSError, SafetensorError) as error:
        raise OSError(f"{path} cannot be read ({error}); remove its folder and launch the run again") from error


def _seed(seed: int, clip: str, version: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {version} {clip}".encode()).digest()[:4], "big")

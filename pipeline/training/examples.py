"""Training examples: sound, label and marker letters of a clip, and how they become a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.training.augmentation import Augmentation
from speech.audio import SAMPLE_RATE
from speech.model import collate

IGNORED = -100  # the label of a clip without one; torch's cross entropy leaves it out


@dataclass(frozen=True)
class CountedSpan:
    """Marker letters in one word: `start` and `end` in seconds, `counts` per letter in the model's order."""

    start: float
    end: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """One clip. `load` gives its mono float32 samples; `label` is a class index; `counts` are of the whole clip."""

    clip: str
    load: Callable[[], np.ndarray]
    seconds: float
    label: int | None = None
    words: tuple[CountedSpan, ...] = ()
    counts: tuple[int, ...] | None = None


class ExampleSet(Dataset[dict[str, object]]):
    """Examples for a Trainer. Clips longer than `crop_seconds` are cut; their clip counts then fall away.

    `training`: cut anywhere rather than in the middle. `augmentation` changes every clip anew each time it is taken.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        crop_seconds: float,
        *,
        training: bool,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.examples = list(examples)
        self._crop = int(crop_seconds * SAMPLE_RATE)
        self._random = training
        self._augmentation = augmentation

    @property
    def lengths(self) -> list[int]:
        """Samples per example, for batches of like length."""
        return [min(int(example.seconds * SAMPLE_RATE), self._crop) for example in self.examples]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict[str, object]:
        example = self.examples[index]
        samples = example.load()
        if self._augmentation is not None:
            # Torch's generator is what checkpoints restore, so that a run that goes on draws as if never killed.
            seed = int(torch.randint(2**31, ()))
            samples = self._augmentation(samples, np.random.default_rng(seed))
        if len(samples) <= self._crop:
            return {"samples": samples, "label": example.label, "words": example.words, "counts": example.counts}
        spare = len(samples) - self._crop
        first = int(torch.randint(spare + 1, ())) if self._random else spare // 2
        start, end = first / SAMPLE_RATE, (first + self._crop) / SAMPLE_RATE
        words = tuple(
            CountedSpan(word.start - start, word.end - start, word.counts)
            for word in example.words
            if word.start >= start and word.end <= end
        )
        return {"samples": samples[first : first + self._crop], "label": example.label, "words": words, "counts": None}


class Collator:
    """Examples to a batch of tensors.

    sound (batch, samples), lengths (batch,), labels (batch,) with `IGNORED`, spans (batch, words, 2) in seconds,
    span_counts (batch, words, letters) and clip_counts (batch, letters), both -1 where unknown.
    """

    def __init__(self, letters: int, *, normalise: bool) -> None:
        self._letters = letters
        self._normalise = normalise

    def __call__(self, items: Sequence[dict[str, object]]) -> dict[str, torch.Tensor]:
        sound, lengths = collate([item["samples"] for item in items], self._normalise)  # type: ignore[misc]
        labels = torch.tensor([IGNORED if item["label"] is None else item["label"] for item in items])
        words: list[tuple[CountedSpan, ...]] = [item["words"] for item in items]  # type: ignore[misc]
        most = max(1, *(len(row) for row in words))
        spans = torch.zeros(len(items), most, 2)
        span_counts = torch.full((len(items), most, self._letters), -1.0)
        clip_counts = torch.full((len(items), self._letters), -1.0)
        for row, item in enumerate(items):
            for column, word in enumerate(words[row]):
                spans[row, column] = torch.tensor([word.start, word.end])
                span_counts[row, column] = torch.tensor(word.counts, dtype=torch.float32)
            if item["counts"] is not None:
                clip_counts[row] = torch.tensor(item["counts"], dtype=torch.float32)
        return {
            "sound": sound,
            "lengths": lengths,
            "labels": labels,
            "spans": spans,
            "span_counts": span_counts,
            "clip_counts": clip_counts,
        }

"""Training examples: sound, label and marker letters of a clip, and how they become a batch."""

from __future__ import annotations

import math
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.training.augmentation import Augmentation
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import collate
from speech.process.background import NAME

# Batches that are got ready; older ones that no one asked for were skipped, by a training that goes on.
_MOST_EXPECTED = 8
IGNORED = -100  # the label of a clip without one; torch's cross entropy leaves it out


@dataclass(frozen=True)
class CountedSpan:
    """Marker letters in one word: `start` and `end` in seconds, `counts` per letter in the model's order; `letters` are
    all its letters as places in the alphabet, from 1."""

    start: float
    end: float
    counts: tuple[int, ...]
    letters: tuple[int, ...] = ()


@dataclass(frozen=True)
class Example:
    """One clip. `load` gives its mono float32 samples; `label` is a class index, `also` are further ones where classes
    are not exclusive; `counts` and `letters` are of the whole clip, None and empty where not every word is sure.
    `speaker` is empty where it is unknown."""

    clip: str
    load: Callable[[], np.ndarray]
    seconds: float
    label: int | None = None
    words: tuple[CountedSpan, ...] = ()
    counts: tuple[int, ...] | None = None
    letters: tuple[int, ...] = ()
    also: tuple[int, ...] = ()
    speaker: str = ""

    @property
    def labels(self) -> tuple[int, ...]:
        """All its classes, as indices; none where it is unlabelled."""
        return () if self.label is None else (self.label, *self.also)


Change = Callable[[Example, np.ndarray, np.random.Generator], tuple[Example, np.ndarray]]
"""Makes another example of one, and of its samples: what it draws comes from the generator."""


class ExampleSet(Dataset[dict[str, object]]):
    """Examples for a Trainer. Clips longer than `crop_seconds` are cut; their clip counts then fall away.

    `training`: cut anywhere rather than in the middle. `augmentation` changes every clip anew in each epoch, after
    `changes`, in order, have made other examples of some. What is drawn follows from `seed`, epoch and index alone: a
    training that goes on draws as if it had never been killed, and the clips of a batch are changed side by side.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        crop_seconds: float,
        *,
        training: bool,
        augmentation: Augmentation | None = None,
        changes: Sequence[Change] = (),
        seed: int = 0,
    ) -> None:
        self._seed, self._epoch = seed, 0
        self._expected: deque[Sequence[int]] = deque()
        self._coming: dict[int, Future[dict[str, object]]] = {}
        self.examples = list(examples)
        self._crop = sys.maxsize if math.isinf(crop_seconds) else int(crop_seconds * SAMPLE_RATE)
        self._random = training
        self._augmentation = augmentation
        self._changes = tuple(changes)

    @property
    def lengths(self) -> list[int]:
        """Samples per example, for batches of like length."""
        return [min(int(example.seconds * SAMPLE_RATE), self._crop) for example in self.examples]

    def __len__(self) -> int:
        return len(self.examples)

    def set_epoch(self, epoch: int) -> None:
        """Draw anew; the Trainer's loader says so before each epoch."""
        self._epoch = epoch
        self._expected.clear()
        self._coming.clear()

    def expect(self, indices: Sequence[int]) -> None:
        """Begin to decode and change the clips of a batch that will soon be asked for, in threads of their own."""
        self._expected.append(indices)
        if len(self._expected) > _MOST_EXPECTED:
            for index in self._expected.popleft():
                if (skipped := self._coming.pop(index, None)) is not None:
                    skipped.cancel()
        threads = _threads(len(indices))
        for index in indices:
            self._coming[index] = threads.submit(self.item, index, self._drawing(index))
        threads.shutdown(wait=False)  # they end when the batch is done

    def __getitem__(self, index: int) -> dict[str, object]:
        coming = self._coming.pop(index, None)
        return self.item(index, self._drawing(index)) if coming is None else coming.result()

    def _drawing(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, self._epoch, index))

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, object]]:
        """A batch; torch's loader asks for this where it is there."""
        if self._coming:  # in the threads, which must not wait for each other
            return [self[index] for index in indices]
        with _threads(len(indices)) as threads:
            return list(threads.map(self.__getitem__, indices))

    def item(self, index: int, rng: np.random.Generator) -> dict[str, object]:
        """An example, changed as `rng` draws."""
        example = self.examples[index]
        samples = example.load()
        for change in self._changes:
            example, samples = change(example, samples, rng)
        if self._augmentation is not None:
            samples, speed = self._augmentation.at_speed(samples, rng)
            example = _at_speed(example, speed)
            samples = self._augmentation(samples, rng)
        if len(samples) <= self._crop:
            return _item(samples, example.labels, example.words, example.counts, example.letters)
        spare = len(samples) - self._crop
        first = int(rng.integers(spare + 1)) if self._random else spare // 2
        start, end = first / SAMPLE_RATE, (first + self._crop) / SAMPLE_RATE
        words = tuple(
            replace(word, start=word.start - start, end=word.end - start)
            for word in example.words
            if word.start >= start and word.end <= end
        )
        return _item(samples[first : first + self._crop], example.labels, words, None, ())


def _at_speed(example: Example, speed: float) -> Example:
    words = tuple(replace(word, start=word.start / speed, end=word.end / speed) for word in example.words)
    return replace(example, words=words)


def _threads(clips: int) -> ThreadPoolExecutor:
    """Threads of a batch's own, that end with it: transforms, filters and codecs run outside the interpreter's lock.

    They begin in a tenth of a millisecond each, and a pool that is kept has nobody to close it.
    """
    return ThreadPoolExecutor(max(1, min(clips, 8, os.cpu_count() or 1)), thread_name_prefix=f"{NAME}-examples")


def _item(
    samples: np.ndarray,
    labels: tuple[int, ...],
    words: tuple[CountedSpan, ...],
    counts: tuple[int, ...] | None,
    letters: tuple[int, ...],
) -> dict[str, object]:
    return {"samples": samples, "labels": labels, "words": words, "counts": counts, "letters": letters}


class Collator:
    """Examples to a batch of tensors.

    sound (batch, samples), lengths (batch,), labels (batch,) with `IGNORED`, spans (batch, words, 2) in seconds,
    span_counts (batch, words, letters) and clip_counts (batch, letters), both -1 where unknown, span_letters (batch,
    words, longest word) and clip_letters (batch, longest clip), both 0 beyond the end or where unknown.

    With `several`, the number of classes where a clip may have several, labels are (batch, `several`): 1 for those that
    a clip has, 0 for the others, `IGNORED` throughout where it has no label.
    """

    def __init__(self, letters: int, *, normalise: bool, several: int | None = None) -> None:
        self._letters = letters
        self._normalise = normalise
        self._several = several

    def __call__(self, items: Sequence[dict[str, object]]) -> dict[str, torch.Tensor]:
        sound, lengths = collate([item["samples"] for item in items], self._normalise)  # type: ignore[misc]
        labels = labels_of([item["labels"] for item in items], self._several)  # type: ignore[misc]
        words: list[tuple[CountedSpan, ...]] = [item["words"] for item in items]  # type: ignore[misc]
        most = max(1, *(len(row) for row in words))
        spans = torch.zeros(len(items), most, 2)
        span_counts = torch.full((len(items), most, self._letters), -1.0)
        clip_counts = torch.full((len(items), self._letters), -1.0)
        spelled: list[tuple[int, ...]] = [item["letters"] for item in items]  # type: ignore[misc]
        span_letters = torch.zeros(len(items), most, max(1, *(len(w.letters) for row in words for w in row), 1)).long()
        clip_letters = torch.zeros(len(items), max(1, *map(len, spelled))).long()
        for row, item in enumerate(items):
            clip_letters[row, : len(spelled[row])] = torch.tensor(spelled[row])
            for column, word in enumerate(words[row]):
                spans[row, column] = torch.tensor([word.start, word.end])
                span_letters[row, column, : len(word.letters)] = torch.tensor(word.letters)
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
            "span_letters": span_letters,
            "clip_letters": clip_letters,
        }


def labels_of(of_clips: Sequence[tuple[int, ...]], several: int | None) -> torch.Tensor:
    """The clips' classes as `Collator` gives them."""
    if several is None:
        return torch.tensor([labels[0] if labels else IGNORED for labels in of_clips])
    values = torch.full((len(of_clips), several), float(IGNORED))
    for row, labels in zip(values, of_clips, strict=True):
        if labels:
            row.zero_()
            row[list(labels)] = 1.0
    return values

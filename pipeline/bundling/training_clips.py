"""What a bundle of either recipe keeps of the clips it was trained on: their statistics and their hashes."""

from __future__ import annotations

from typing import Any

from pipeline.clips.dataset import ClipSet
from speech.defects.training_distance import describe, figures_of


def statistics(clips: ClipSet) -> dict[str, Any]:
    """Quantiles of the training clips' length, level, noise, silence and colour, and how far they lie apart: by this
    the service tells when what it is sent is unlike them."""
    return describe([figures_of(clips.samples(record)) for record in clips.of_split("train")])


def clip_hashes(clips: ClipSet) -> list[str]:
    """sha256 of each clip's content that the model has learned from or was chosen by."""
    return [record.content for split in ("train", "validation") for record in clips.of_split(split)]

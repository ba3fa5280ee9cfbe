"""Memory of a training step of a recipe's encoder, in bytes of tensors, measured on any machine.

    python -m bench.training_memory --config configs/defects.yaml --clips 1 2

Takes the recipe's own settings and a random XLS-R 300M. What a step wants grows by the same for every clip; the last
line is what that makes of the recipe's batch. On a CPU attention keeps its weights where it drops some, on a GPU it
does not: so none are dropped here.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import yaml

from bench.tensor_bytes import TensorBytes
from bench.xlsr import XLSR_300M
from pipeline.settings import EncoderSettings, Precision
from pipeline.training.memory import estimate, layers_twice, shape_of
from pipeline.training.objectives import Transcribed
from speech.audio import SAMPLE_RATE
from speech.model import DefectModel
from speech.spec import ModelSpec

_GIB = 1 << 30


def new_model(letters: tuple[str, ...] = ("р", "г")) -> DefectModel:
    """The model that the recipe trains first: a marker head on a frozen front end."""
    encoder = XLSR_300M | {"model_type": "wav2vec2", "attention_dropout": 0.0, "mask_time_prob": 0.0}
    classes = ("none", "burr", "fricative_g", "stutter")
    torch.manual_seed(0)
    model = DefectModel(ModelSpec(encoder, classes=classes, letters=letters, marked=(True, True, True, False))).train()
    model.encoder.freeze_feature_encoder()  # type: ignore[operator]
    for pair in model.heads:
        pair.marker_words.requires_grad_(False)
        pair.other_words.requires_grad_(False)
    return model


def step(model: DefectModel, clips: int, seconds: float, *, half: bool, twice: bool) -> int:
    """The peak of tensor bytes in two training steps; the first makes the optimiser's moments."""
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    objective = Transcribed(model.frame_seconds, per_word=True, counts=True, spells=False)
    samples = int(seconds * SAMPLE_RATE)
    sound, lengths = torch.randn(clips, samples), torch.full((clips,), samples)
    letters = len(model.spec.letters)
    batch = {
        "spans": torch.tensor([[[0.0, seconds / 2]]]).expand(clips, 1, 2),
        "span_counts": torch.ones(clips, 1, letters),
        "clip_counts": torch.ones(clips, letters),
    }
    counted = TensorBytes()
    counted.count(*model.parameters(), *model.buffers(), sound)
    with ExitStack() as during:
        if twice:
            during.enter_context(layers_twice(model))
        during.enter_context(counted)
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                loss = objective(model(sound, lengths), batch, None)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            del loss
    return counted.peak


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the memory of a recipe's training step.")
    parser.add_argument("--config", type=Path, default=Path("configs/defects.yaml"))
    parser.add_argument("--clips", type=int, nargs=2, default=(1, 2))
    parser.add_argument("--seconds", type=float, help="instead of the recipe's max_crop_seconds")
    parser.add_argument("--half", action="store_true", help="in bf16, else in fp32")
    parser.add_argument("--checkpointed", action="store_true", help="with gradient checkpointing")
    options = parser.parse_args()
    settings = EncoderSettings(**yaml.safe_load(options.config.read_text(encoding="utf-8"))["ops"]["encoder"]["config"])
    seconds = options.seconds or settings.max_crop_seconds
    how: dict[str, Any] = {"half": options.half, "twice": options.checkpointed}
    peaks = []
    for clips in options.clips:
        model, began = new_model(), time.monotonic()
        peaks.append(step(model, clips, seconds, **how))
        print(
            json.dumps({"clips": clips, "gib": round(peaks[-1] / _GIB, 2), "s": round(time.monotonic() - began)}),
            flush=True,
        )
    each = (peaks[1] - peaks[0]) / (options.clips[1] - options.clips[0])
    shape = shape_of(new_model())
    assert shape is not None
    computed_in = Precision.bf16 if options.half else Precision.fp32
    guess = estimate(shape, settings.batch_size, seconds, computed_in, checkpointed=options.checkpointed, fused=True)
    whole = {
        "batch": settings.batch_size,
        "seconds": seconds,
        **how,
        "gib": round((peaks[0] + each * (settings.batch_size - options.clips[0])) / _GIB, 2),
        "estimated_gib": round(guess.total / _GIB, 2),
    }
    print(json.dumps(whole), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

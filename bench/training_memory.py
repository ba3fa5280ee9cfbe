"""Memory of a training step of a recipe's encoder and of its heads, in bytes of tensors.

    python -m bench.training_memory --config configs/defects.yaml

Takes the recipe's own settings, batch and longest clips, and XLS-R 300M. The step runs on torch's fake tensors, which
have shapes and storages but no values: every operator of forward, backward and optimiser is counted and none computed,
so that it takes seconds anywhere. Attention drops none of its weights here, since a CPU would keep them for that and a
GPU does not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.tensor_bytes import TensorBytes
from bench.xlsr import XLSR_300M
from pipeline.defects.objectives import Transcribed
from pipeline.defects.settings import EncoderSettings, HeadSettings
from pipeline.settings import Precision
from pipeline.training.memory import estimate, layers_twice, shape_of
from pipeline.training.settings import CroppedTrainingSettings
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import DefectModel
from speech.defects.spec import ModelSpec

_GIB = 1 << 30
CLASSES = ("none", "burr", "fricative_g", "stutter")


def encoder_model() -> DefectModel:
    """What the encoder's stage trains: encoder and marker head on a frozen front end."""
    model = _model(members=1)
    for pair in model.heads:
        pair.marker_words.requires_grad_(False)
        pair.other_words.requires_grad_(False)
    return model


def heads_model(members: int) -> DefectModel:
    """What the heads' stage trains: everything but the front end."""
    return _model(members=members)


def _model(members: int) -> DefectModel:
    encoder = XLSR_300M | {"model_type": "wav2vec2", "attention_dropout": 0.0, "apply_spec_augment": False}
    marked = (True, True, True, False)
    model = DefectModel(ModelSpec(encoder, classes=CLASSES, letters=("р", "г"), marked=marked, members=members)).train()
    model.encoder.freeze_feature_encoder()  # type: ignore[operator]
    return model


def step(make: Callable[[], DefectModel], clips: int, seconds: float, *, half: bool, twice: bool) -> int:
    """The peak of tensor bytes in two training steps; the first makes the optimiser's moments."""
    with FakeTensorMode(), ExitStack() as during:
        model = make()
        model.takes_mask = False  # clips are equally long, and a fake mask cannot be looked at
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], foreach=False)
        objective = Transcribed(model.frame_seconds, per_word=True, counts=True, spells=False)
        samples, letters = int(seconds * SAMPLE_RATE), len(model.spec.letters)
        sound, lengths = torch.randn(clips, samples), torch.full((clips,), samples)
        batch = {
            "spans": torch.zeros(clips, 1, 2),
            "span_counts": torch.ones(clips, 1, letters),
            "clip_counts": torch.ones(clips, letters),
        }
        learns_heads = any(p.requires_grad for p in model.heads[0].other_words.parameters())
        if twice:
            during.enter_context(layers_twice(model))
        counted = TensorBytes()
        counted.count(*model.parameters(), *model.buffers(), sound)
        with counted:
            for _ in range(2):
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                    output = model(sound, lengths)
                    loss = objective(output, batch, None)
                    if learns_heads:
                        loss = loss + output.members.float().logsumexp(-1).mean()
                del output
                loss.backward()
                optimiser.step()
                optimiser.zero_grad()
                del loss
    return counted.peak


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the memory of a recipe's training step.")
    parser.add_argument("--config", type=Path, default=Path("configs/defects.yaml"))
    options = parser.parse_args()
    recipe = yaml.safe_load(options.config.read_text(encoding="utf-8"))["ops"]
    encoder = EncoderSettings(**recipe["encoder"]["config"])
    heads = HeadSettings(**recipe["heads"]["config"])
    makes: dict[str, tuple[Callable[[], DefectModel], CroppedTrainingSettings]] = {
        "encoder": (encoder_model, encoder),
        "heads": (partial(heads_model, heads.members), heads),
    }
    for stage, (make, settings) in makes.items():
        for half in (True, False):
            for twice in (False, True):
                print(json.dumps({"stage": stage} | measured(make, settings, half=half, twice=twice)), flush=True)
    return 0


def measured(
    make: Callable[[], DefectModel], settings: CroppedTrainingSettings, *, half: bool, twice: bool
) -> dict[str, Any]:
    """One stage's step, counted and estimated."""
    clips, seconds = settings.batch_size, settings.max_crop_seconds
    with FakeTensorMode():
        shape = shape_of(make())
    assert shape is not None
    computed_in = Precision.bf16 if half else Precision.fp32
    guess = estimate(shape, clips, seconds, computed_in, checkpointed=twice, fused=True)
    return {
        "clips": clips,
        "seconds": seconds,
        "arithmetic": "bf16 or fp16" if half else "fp32",
        "gradient_checkpointing": twice,
        "gib": round(step(make, clips, seconds, half=half, twice=twice) / _GIB, 2),
        "estimated_gib": round(guess.total / _GIB, 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())

"""A GPU's training steps and its encoder, in half precision and in fp32, beside transformers' Trainer as it comes.

    python -m bench.gpu

XLS-R 300M with random weights counts marker letters in clips of 2 to 15 s of noise. Both trainers see the same clips as
often, with the recipe's batch; what differs is ours: clips of like length share a batch, batches come in few shapes,
arithmetic is what the card multiplies in. The encoder hears the same clips one by one and sorted into batches. Prints a
line of JSON each; on a machine without a GPU it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from bench.xlsr import XLSR_300M
from pipeline.defects.objectives import Transcribed
from pipeline.defects.predictions import CountedClip, predict
from pipeline.defects.pretraining import pretrain, start_model
from pipeline.defects.settings import EncoderSettings
from pipeline.settings import Precision
from pipeline.training.examples import Collator, CountedSpan, Example, ExampleSet
from pipeline.training.hardware import computing
from speech.audio.decode import SAMPLE_RATE
from speech.defects.model import DefectModel
from speech.hardware.devices import read_hardware

CLASSES, LETTERS, MARKED = ("none", "burr", "fricative_g", "stutter"), ("р", "г"), (True, True, True, False)
_GIB = 1 << 30


def clips(count: int) -> list[Example]:
    """Noise of 2 to 15 s with a counted word in each."""
    rng = np.random.default_rng(0)

    def clip(number: int, seconds: float) -> Example:
        samples = int(seconds * SAMPLE_RATE)
        sound = np.random.default_rng(number).normal(0, 0.1, samples).astype(np.float32)
        word = CountedSpan(0.5, 1.0, (number % 3, number % 2))
        return Example(str(number), lambda: sound, samples / SAMPLE_RATE, number % 4, (word,), (number % 3, number % 2))

    return [clip(number, float(seconds)) for number, seconds in enumerate(rng.uniform(2.0, 15.0, count))]


def settings(precision: Precision, batch: int, epochs: float) -> EncoderSettings:
    """The recipe's, on one GPU, without augmentation, which is the processor's work."""
    encoder = XLSR_300M | {"model_type": "wav2vec2"}
    return EncoderSettings(
        architecture=encoder,
        freeze_features=True,
        batch_size=batch,
        epochs=epochs,
        precision=precision,
        augment=False,
        device="cuda",
        name=None,
        init_from=None,
    )


def ours(model: DefectModel, examples: list[Example], how: EncoderSettings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pretrain(model, examples, examples[: how.batch_size], how, Path(folder), _silent, _silent)


def stock(model: DefectModel, examples: list[Example], how: EncoderSettings) -> None:
    """The Trainer with its defaults: clips in random order, as long as each batch's longest, fp32."""
    objective = Transcribed(model.frame_seconds, per_word=True, counts=True, spells=False)
    model.encoder.freeze_feature_encoder()  # type: ignore[operator]

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, sound: torch.Tensor, lengths: torch.Tensor, **known: torch.Tensor) -> dict[str, Any]:
            return {"loss": objective(self.model(sound, lengths), known, None)}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=how.epochs,
            per_device_train_batch_size=how.batch_size,
            learning_rate=how.learning_rate,
            save_strategy="no",
            remove_unused_columns=False,
            report_to=[],
            disable_tqdm=True,
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)
        Trainer(
            model=Counting(),
            args=arguments,
            train_dataset=ExampleSet(examples, how.max_crop_seconds, training=True),
            data_collator=Collator(len(LETTERS), normalise=True),
        ).train()


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of wall clock and the most memory the GPU's tensors took."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    began = time.monotonic()
    work()
    torch.cuda.synchronize()
    return {"seconds": time.monotonic() - began, "peak_gib": round(torch.cuda.max_memory_allocated() / _GIB, 2)}


def training(name: str, train: Any, examples: list[Example], how: EncoderSettings) -> dict[str, Any]:
    """A training's steps a second, of a model that a first, untimed step has warmed up."""
    train(start_model(how, CLASSES, LETTERS, MARKED).cuda(), examples[: how.batch_size], how)
    model = start_model(how, CLASSES, LETTERS, MARKED).cuda()
    found = timed(lambda: train(model, examples, how))
    steps = -(-len(examples) // how.batch_size) * how.epochs
    sound = sum(example.seconds for example in examples) * how.epochs
    return {"training": name, "ms_a_step": round(1000 * found["seconds"] / steps, 1)} | _rate(sound, found)


def hearing(precision: Precision, examples: list[Example], batch: int, how: EncoderSettings) -> dict[str, Any]:
    """The encoder's throughput as evaluation uses it."""
    model = start_model(how, CLASSES, LETTERS, MARKED).cuda().eval()
    heard = [CountedClip(one.clip, None, one.load, seconds=one.seconds) for one in examples]
    with computing(precision, "cuda") as computed_in:
        predict(model, heard[:batch], batch, _silent)
        found = timed(lambda: predict(model, heard, batch, _silent))
    sound = sum(one.seconds for one in examples)
    return {"hearing": computed_in.value, "batch": batch} | _rate(sound, found)


def _rate(sound: float, found: dict[str, float]) -> dict[str, float]:
    return {"sound_a_second": round(sound / found["seconds"], 1), "peak_gib": found["peak_gib"]}


def _silent(*_: object) -> None:
    """Neither lines nor figures are kept."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure a GPU's training steps and its encoder.")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=float, default=4)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: nothing was measured", file=sys.stderr)
        return 1
    hardware = read_hardware()
    print(json.dumps({"gpu": torch.cuda.get_device_name(), "bf16": hardware.bf16, "torch": torch.__version__}))
    examples = clips(options.clips)
    half = Precision.bf16 if hardware.bf16 else Precision.fp16
    for precision in (half, Precision.fp32):
        how = settings(precision, options.batch, options.epochs)
        print(json.dumps(training(f"ours, {precision.value}", ours, examples, how)), flush=True)
    how = settings(Precision.fp32, options.batch, options.epochs)
    print(json.dumps(training("stock Trainer, fp32", stock, examples, how)), flush=True)
    for precision, batch in ((half, 1), (half, options.batch), (Precision.fp32, 1), (Precision.fp32, options.batch)):
        print(json.dumps(hearing(precision, examples, batch, how)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

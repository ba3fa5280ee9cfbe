"""Training of a recogniser beside transformers' Trainer as it comes: seconds, and word errors on speakers unheard.

    python -m bench.recogniser --config configs/asr-offline.yaml --archive digits.zip --language en --epochs 16

Both start from the same weights, see the same clips, changed by the same augmentation, as often and at the same rates;
both are judged by the same function on the test split, with the closed list of words and without. What differs is
ours: clips of like length share a batch, and arithmetic is bf16 where the processor has it.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from dagster import AssetKey, DagsterInstance
from transformers import Trainer, TrainingArguments

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.definitions import defs
from pipeline.recognition.finetuning import RecogniserTask, learned_from, start_recogniser, train_recogniser
from pipeline.recognition.scoring import error_rate, score, word_counts
from pipeline.recognition.settings import RecogniserSettings
from pipeline.recognition.texts import check_texts
from pipeline.recognition.utterances import utterances
from pipeline.store import StageStore
from pipeline.training.augmentation import VARIED
from pipeline.training.examples import ExampleSet
from speech.ctc.folder import Recogniser
from speech.ctc.transcription import transcribe
from speech.home import home
from speech.text.language import load_language
from speech.text.normalisation import normalise

DATA = ("asr_archive", "asr_clips")


def clips_of(recipe: dict[str, Any]) -> ClipSet:
    """The clips of a run configuration, by the very stages of the job."""
    data = {"ops": {stage: recipe["ops"][stage] for stage in DATA}}
    with DagsterInstance.ephemeral() as instance:
        defs.resolve_job_def("asr").execute_in_process(
            data, asset_selection=[AssetKey(stage) for stage in DATA], instance=instance
        )
    return ClipSet.load(StageStore(home()).recall((), "asr_clips").folder)


def ours(started: Recogniser, clips: ClipSet, records: Sequence[ClipRecord], settings: RecogniserSettings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        train_recogniser(started, clips, records, settings, Path(folder), lambda line: print(line, flush=True), _unseen)


def stock(started: Recogniser, clips: ClipSet, records: Sequence[ClipRecord], settings: RecogniserSettings) -> None:
    """The Trainer with its defaults: clips in random order, fp32, one rate's schedule."""
    if settings.keeps_features:
        started.model.freeze_feature_encoder()
    recorded, said = learned_from(started, clips, records, settings)
    learned = [*recorded, *said]
    steps = -(-len(learned) // settings.batch_size) // settings.accumulation * settings.epochs
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            model=started.model,
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=settings.epochs,
                per_device_train_batch_size=settings.batch_size,
                gradient_accumulation_steps=settings.accumulation,
                learning_rate=settings.learning_rate,
                weight_decay=settings.weight_decay,
                lr_scheduler_type="cosine",
                warmup_steps=settings.warmup(int(steps)),
                save_strategy="no",
                remove_unused_columns=False,
                report_to=[],
                seed=settings.seed,
            ),
            train_dataset=ExampleSet(
                learned,
                float("inf"),
                training=True,
                augmentation=VARIED if settings.augment else None,
                seed=settings.seed,
            ),
            data_collator=RecogniserTask(started).collate,
        ).train()
    started.model.eval()


def word_errors(recogniser: Recogniser, clips: ClipSet, words: Sequence[str]) -> float:
    """The word error rate on the test split, with the closed list of `words` or, of none, without."""
    listed = Recogniser(recogniser.model, recogniser.processor, recogniser.language, words)
    spoken, language = utterances(clips, "test"), load_language(clips.language)
    heard = transcribe(listed, [one.load() for one in spoken])
    scored = score(
        [normalise(one.text, language) for one in spoken], [normalise(answer.text, language) for answer in heard]
    )
    return error_rate(word_counts(scored))


def _unseen(figures: dict[str, float], step: int) -> None:
    """Figures that nobody keeps."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a recogniser beside transformers' Trainer as it comes.")
    parser.add_argument("--config", type=Path, default=Path("configs/asr-offline.yaml"))
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--language", default="en")
    parser.add_argument("--epochs", type=float, help="instead of the configuration's")
    parser.add_argument("--only", choices=("ours", "stock"))
    options = parser.parse_args()
    recipe = copy.deepcopy(yaml.safe_load(options.config.read_text(encoding="utf-8")))
    archive = options.archive.resolve()
    recipe["ops"]["asr_archive"]["config"] = {"sources": [str(archive)], "allowed_roots": [str(archive.parent)]}
    recipe["ops"]["asr_clips"]["config"]["language"] = options.language
    changed = {"epochs": options.epochs} if options.epochs else {}
    settings = RecogniserSettings(**(recipe["ops"]["recogniser"]["config"] | changed))
    with tempfile.TemporaryDirectory(prefix="vnyatno-bench-") as root:
        os.environ["VNYATNO_HOME"] = root
        clips = clips_of(recipe)
        for name, train in (("ours", ours), ("stock", stock)):
            if options.only in (None, name):
                print(json.dumps(measured(name, train, clips, settings)), flush=True)
    return 0


def measured(name: str, train: Any, clips: ClipSet, settings: RecogniserSettings) -> dict[str, Any]:
    """One training's seconds and word error rates."""
    torch.manual_seed(settings.seed)
    started = start_recogniser(settings, clips)
    records, _ = check_texts(clips, started.ids_of, started.frame_seconds)
    words = started.words
    began = time.monotonic()
    train(started, clips, records, settings)
    seconds = time.monotonic() - began
    return {
        "trainer": name,
        "epochs": settings.epochs,
        "seconds": round(seconds, 1),
        "test_speakers": sorted({record.speaker or "" for record in clips.of_split("test")}),
        "wer": round(word_errors(started, clips, words), 4) if words else None,
        "wer_any_words": round(word_errors(started, clips, ()), 4),
    }


if __name__ == "__main__":
    raise SystemExit(main())

"""Both trainings on tiny data: they learn, restore the best weights, and go on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.defects.finetuning import finetune, macro_f1
from pipeline.defects.pretraining import EncoderUnavailable, load_encoder, pretrain, save_encoder, start_model
from pipeline.defects.settings import EncoderSettings, HeadSettings
from pipeline.training.augmentation import Augmentation
from pipeline.training.checkpoints import last_checkpoint
from pipeline.training.examples import Collator, CountedSpan, Example, ExampleSet
from pipeline.training.trainer import NothingToTrain
from speech.audio.decode import SAMPLE_RATE
from speech.defects.diagnose import diagnose

pytestmark = pytest.mark.long

CLASSES, LETTERS, MARKED = ("none", "burr", "stutter"), ("р",), (True, True, False)
ARCHITECTURE: dict[str, Any] = {
    "model_type": "wav2vec2",
    "conv_dim": [16, 16, 16],
    "conv_kernel": [20, 8, 8],
    "conv_stride": [10, 8, 4],
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_prob": 0.0,
}


def tone(seed: int, hertz: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.02, SAMPLE_RATE)
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    return (noise + 0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def example(seed: int) -> Example:
    label = seed % 3
    return Example(
        clip=f"clip{seed}",
        load=lambda: tone(seed, (200.0, 900.0, 2500.0)[label]),
        seconds=1.0,
        label=label,
        words=(CountedSpan(0.0, 0.5, (label,)),),
        counts=(label,),
    )


def encoder_settings(**changes: Any) -> EncoderSettings:
    values: dict[str, Any] = {
        "architecture": ARCHITECTURE,
        "epochs": 2,
        "batch_size": 6,
        "learning_rate": 3e-3,
        "head_learning_rate": 3e-3,
        "precision": "fp32",
        "device": "cpu",
    }
    return EncoderSettings(**(values | changes))


def head_settings(**changes: Any) -> HeadSettings:
    values: dict[str, Any] = {
        "epochs": 8,
        "batch_size": 6,
        "learning_rate": 3e-3,
        "head_learning_rate": 3e-3,
        "precision": "fp32",
        "device": "cpu",
        "freeze_features": False,
        "patience": 8,
    }
    return HeadSettings(**(values | changes))


def ignore(*_: object) -> None:
    """Neither lines nor figures are looked at here."""


def test_whole_way_learns_to_tell_tones_apart(tmp_path: Path) -> None:
    training, validation = [example(i) for i in range(36)], [example(i) for i in range(100, 112)]
    settings = encoder_settings(augment=False)  # twelve steps: too few for changed copies to tell anything
    model = start_model(settings, CLASSES, LETTERS, MARKED)
    lines: list[str] = []
    figures: list[dict[str, float]] = []
    run = pretrain(model, training, validation, settings, tmp_path / "e", lines.append, lambda f, s: figures.append(f))
    losses = [line["eval_loss"] for line in run.history if "eval_loss" in line]
    assert losses[-1] < losses[0]
    assert run.best == pytest.approx(min(losses))
    assert any("validation loss" in line for line in lines)
    assert any("eval_loss" in figure for figure in figures)
    save_encoder(model, tmp_path)
    again = load_encoder(tmp_path, 1, width=16)
    assert all(torch.equal(a, b) for a, b in zip(model.encoder.parameters(), again.encoder.parameters(), strict=True))
    run = finetune(again, training, validation, head_settings(), tmp_path / "h", ignore, ignore)
    again.eval()
    test = [example(i) for i in range(200, 212)]
    said = [CLASSES.index(answer.most_probable) for answer in diagnose(again, [e.load() for e in test])]
    assert macro_f1([e.label or 0 for e in test], said, 3) > 0.8
    assert not list((tmp_path / "h").glob("checkpoint-*"))


def test_best_weights_are_restored(tmp_path: Path) -> None:
    settings = encoder_settings(epochs=1)
    model = start_model(settings, CLASSES, LETTERS, MARKED)
    training, validation = [example(i) for i in range(18)], [example(i) for i in range(100, 112)]
    run = finetune(model, training, validation, head_settings(epochs=4), tmp_path, ignore, ignore)
    model.eval()
    said = [CLASSES.index(answer.most_probable) for answer in diagnose(model, [e.load() for e in validation])]
    assert macro_f1([e.label or 0 for e in validation], said, 3) == pytest.approx(run.best)
    figures = [line["eval_macro_f1"] for line in run.history if "eval_macro_f1" in line]
    assert run.best == pytest.approx(max(figures))


def test_training_without_usable_clips_says_so(tmp_path: Path) -> None:
    settings = encoder_settings()
    model = start_model(settings, CLASSES, LETTERS, MARKED)
    bare = Example("clip", lambda: tone(0, 200.0), 1.0)
    with pytest.raises(NothingToTrain, match="training split"):
        pretrain(model, [bare], [example(1)], settings, tmp_path, ignore, ignore)
    with pytest.raises(NothingToTrain, match="validation split"):
        finetune(model, [example(1)], [bare], head_settings(), tmp_path, ignore, ignore)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": {"model_type": "bert"}}, "no encoder of raw sound"),
        ({"architecture": None, "name": "no/such-encoder"}, "cannot be loaded"),
    ],
)
def test_encoder_that_cannot_be_had(changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at the import alone
    with pytest.raises(EncoderUnavailable, match=message):
        start_model(encoder_settings(**changes), CLASSES, LETTERS, MARKED)


def test_encoder_from_a_path_keeps_its_weights(tmp_path: Path) -> None:
    first = start_model(encoder_settings(), CLASSES, LETTERS, MARKED)
    first.encoder.save_pretrained(tmp_path)  # type: ignore[operator]
    second = start_model(encoder_settings(architecture=None, name=str(tmp_path), seed=99), CLASSES, LETTERS, MARKED)
    assert all(torch.equal(a, b) for a, b in zip(first.encoder.parameters(), second.encoder.parameters(), strict=True))


def test_long_clips_are_cut_and_their_words_moved() -> None:
    words = (CountedSpan(0.1, 0.3, (1,)), CountedSpan(1.6, 1.9, (2,)))
    long = Example("clip", lambda: np.ones(2 * SAMPLE_RATE, np.float32), 2.0, 0, words, (3,))
    item = ExampleSet([long], 1.0, training=False)[0]
    assert len(item["samples"]) == SAMPLE_RATE  # type: ignore[arg-type]
    assert item["counts"] is None
    assert item["words"] == ()
    batch = Collator(1, normalise=True)([item])
    assert batch["clip_counts"].tolist() == [[-1.0]]
    assert batch["sound"].shape == (1, SAMPLE_RATE)


def test_another_speed_moves_the_words_with_the_sound() -> None:
    sound = np.zeros(2 * SAMPLE_RATE, np.float32)
    sound[SAMPLE_RATE : SAMPLE_RATE + 800] = 0.5  # a word at 1 s
    clip = Example("clip", lambda: sound, 2.0, 0, (CountedSpan(1.0, 1.05, (1,)),), (1,))
    always = Augmentation(noise=0, room=0, telephone=0, low_pass=0, codec=0, masks=0, speed=1.0)
    lengths = set()
    changed = ExampleSet([clip], 15.0, training=True, augmentation=always)
    for epoch in range(5):
        changed.set_epoch(epoch)
        item = changed[0]
        samples, (word,) = np.asarray(item["samples"]), item["words"]  # type: ignore[misc]
        loud = np.flatnonzero(np.abs(samples) > 0.25)
        assert loud[0] / SAMPLE_RATE == pytest.approx(word.start, abs=0.005)
        assert loud[-1] / SAMPLE_RATE == pytest.approx(word.end, abs=0.005)
        assert item["counts"] == (1,)
        lengths.add(len(samples))
    assert len(lengths) == 5


def test_what_is_drawn_follows_from_seed_epoch_and_index_alone() -> None:
    examples = [example(number) for number in range(6)]

    def drawn(order: list[int], seed: int = 3, epoch: int = 0) -> dict[int, bytes]:
        changed = ExampleSet(examples, 0.5, training=True, augmentation=Augmentation(), seed=seed)
        changed.set_epoch(epoch)
        batch = zip(order, changed.__getitems__(order), strict=True)
        return {index: np.asarray(item["samples"]).tobytes() for index, item in batch}

    forwards = drawn([0, 1, 2, 3, 4, 5])
    assert drawn([5, 3, 1]) == {index: forwards[index] for index in (5, 3, 1)}
    for other in (drawn([0, 1, 2, 3, 4, 5], epoch=1), drawn([0, 1, 2, 3, 4, 5], seed=4)):
        assert all(other[index] != forwards[index] for index in range(6))


def test_each_epoch_of_a_training_draws_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(ExampleSet, "set_epoch", lambda self, epoch: seen.append(epoch))
    clips = [example(number) for number in range(12)]
    settings = encoder_settings(epochs=3)
    model = start_model(settings, CLASSES, LETTERS, MARKED)
    pretrain(model, clips, clips, settings, tmp_path, ignore, ignore)
    assert sorted(set(seen)) == [0, 1, 2]


def test_killed_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.pipeline.training.test_training import *
        settings = encoder_settings(epochs=60)
        model = start_model(settings, CLASSES, LETTERS, MARKED)
        data = [example(i) for i in range(12)]
        pretrain(model, data, data, settings, Path(sys.argv[1]), lambda line: print(line, flush=True), ignore)
        """
    )
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if "epoch 3.0" in line:
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    torn = tmp_path / "checkpoint-999999"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    last = last_checkpoint(tmp_path)
    assert last is not None
    assert not torn.exists()
    step = int(last.name.rpartition("-")[2])
    assert step >= 4
    settings = encoder_settings(epochs=step / 2 + 1)
    data = [example(i) for i in range(12)]
    lines: list[str] = []
    model = start_model(settings, CLASSES, LETTERS, MARKED)
    run = pretrain(model, data, data, settings, tmp_path, lines.append, ignore)
    assert f"encoder: going on from {last.name}" in lines
    assert run.steps == step + 2

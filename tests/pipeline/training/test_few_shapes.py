"""What batches on a GPU are filled up with changes no answer, and clips that are got ready ahead are the same clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.defects.encoder_cache import HiddenStateSet, StateCache, cache_states
from pipeline.defects.objectives import Transcribed
from pipeline.defects.pretraining import start_model
from pipeline.defects.task import DefectTask
from pipeline.recognition.finetuning import RecogniserTask
from pipeline.training.augmentation import Augmentation
from pipeline.training.examples import ExampleSet
from pipeline.training.tasks import HIDDEN, padded, parts
from speech.defects.model import DefectModel
from tests.pipeline.training.shared import ALPHABET, STEADY, Words, uneven
from tests.pipeline.training.test_training import CLASSES, LETTERS, MARKED, encoder_settings, example, ignore
from tests.recognisers import tiny_lasr, tiny_recogniser

CPU = torch.device("cpu")


def speller() -> DefectModel:
    settings = encoder_settings(pretext="both", architecture=STEADY)
    return start_model(settings, CLASSES, LETTERS, MARKED, alphabet=ALPHABET).eval()


def test_padding_to_few_shapes_changes_no_loss() -> None:
    model = speller()
    clips = ExampleSet([uneven(seed) for seed in range(7)], 15.0, training=False)
    how = Transcribed(model.frame_seconds, per_word=True, counts=True, spells=True, prior_weight=0.3)
    task = DefectTask(model, clips, how)
    batch = task.collate(clips.__getitems__(range(7)))
    filled = task.in_few_shapes(batch)
    assert batch["sound"].shape[1] == 16_000  # the longest is of a second, and so is the next shape
    assert filled["sound"].shape[1] == 16_000
    batch = batch | {"sound": batch["sound"][:4, :13_000], "lengths": batch["lengths"].clamp(max=13_000)}
    batch = {name: value[:4] for name, value in batch.items()}
    filled = task.in_few_shapes(batch)
    assert filled["sound"].shape[1] == 16_000
    with torch.no_grad():
        (loss, output), (again, other) = task.loss(model, batch), task.loss(model, filled)
    assert loss.item() == pytest.approx(again.item(), rel=1e-5)
    torch.testing.assert_close(output.logits, other.logits, atol=1e-5, rtol=1e-4)


def test_what_has_no_mask_is_left_as_it_is() -> None:
    group = STEADY | {"feat_extract_norm": "group", "do_stable_layer_norm": False}
    model = start_model(encoder_settings(architecture=group), CLASSES, LETTERS, MARKED)
    clips = ExampleSet([example(0)], 15.0, training=False)
    task = DefectTask(model, clips, Transcribed(0.02, per_word=True, counts=True, spells=False))
    batch = task.collate([clips[0]])
    batch["sound"] = batch["sound"][:, :13_000]
    assert task.in_few_shapes(batch)["sound"].shape[1] == 13_000


def test_frames_that_were_heard_are_filled_up_too(tmp_path: Path) -> None:
    model, clips = speller(), [uneven(seed) for seed in (0, 1, 2)]
    plain = ExampleSet(clips, 15.0, training=False)
    cache = StateCache(tmp_path, 0, 1)
    cache_states(model, plain, plain, cache, ignore, CPU)
    heard = HiddenStateSet(clips, cache, training=False)
    task = DefectTask(model, heard, Transcribed(0.02, per_word=True, counts=True, spells=False))
    batch = task.collate([heard[index] for index in range(3)])
    filled = task.in_few_shapes(batch)
    assert filled[HIDDEN].shape[2] == filled["mask"].shape[1]
    assert filled[HIDDEN].shape[2] % 50 == 0
    assert not filled["mask"][:, batch["mask"].shape[1] :].any()


@pytest.mark.parametrize("kind", ["sound", "spectrograms"])
def test_a_recogniser_writes_the_same(kind: str, tmp_path: Path) -> None:
    recogniser = tiny_recogniser(tmp_path) if kind == "sound" else tiny_lasr()
    task, words = RecogniserTask(recogniser), Words()
    items = [{"samples": words.samples(record), "letters": (4, 5)} for record in words.records[:3]]
    batch = task.collate(items)
    filled = task.in_few_shapes(batch)
    recogniser.model.eval()
    with torch.no_grad():
        (loss, _), (again, _) = task.loss(recogniser.model, batch), task.loss(recogniser.model, filled)
    assert filled["attention_mask"].shape[1] > batch["attention_mask"].shape[1]
    assert loss.item() == pytest.approx(again.item(), rel=1e-3)


def test_parts_are_the_batch() -> None:
    batch = {HIDDEN: torch.arange(30.0).reshape(2, 5, 3), "labels": torch.arange(5)}
    made = list(parts(batch, 2))
    assert [len(part["labels"]) for part in made] == [2, 2, 1]
    assert torch.equal(torch.cat([part[HIDDEN] for part in made], 1), batch[HIDDEN])
    assert list(parts(batch, None)) == [batch]
    assert list(parts({}, 2)) == []
    assert padded(batch, HIDDEN, 2, 4)[HIDDEN].shape == (2, 5, 4)


def test_clips_got_ready_ahead_are_the_same_clips() -> None:
    clips = [example(seed) for seed in range(12)]
    plain, ahead = (ExampleSet(clips, 15.0, training=True, augmentation=Augmentation(), seed=3) for _ in range(2))
    for epoch in range(2):
        for one in (plain, ahead):
            one.set_epoch(epoch)
        batches = [list(range(first, first + 3)) for first in range(0, 12, 3)]
        for batch in batches:
            ahead.expect(batch)
        for batch in batches:
            for one, other in zip(plain.__getitems__(batch), ahead.__getitems__(batch), strict=True):
                np.testing.assert_array_equal(one["samples"], other["samples"])  # type: ignore[arg-type]
    assert not ahead._coming


def test_batches_that_are_skipped_are_forgotten() -> None:
    ahead = ExampleSet([example(seed) for seed in range(60)], 15.0, training=True)
    for first in range(0, 60, 2):
        ahead.expect([first, first + 1])
    assert len(ahead._coming) == 16

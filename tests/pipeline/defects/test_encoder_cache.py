"""A frozen encoder hears every clip once: the heads learn as well from that, it survives a kill, and it has bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.defects.encoder_cache import (
    HiddenStateCollator,
    HiddenStateSet,
    StateCache,
    cache_states,
    counts_from_cache,
)
from pipeline.defects.finetuning import NoRoom, finetune, macro_f1, remove_cache
from pipeline.defects.imitation import Imitation
from pipeline.defects.pretraining import start_model
from pipeline.defects.settings import HeadSettings
from pipeline.training.augmentation import Augmentation
from pipeline.training.examples import Example, ExampleSet
from pipeline.training.trainer import NothingToTrain
from speech.defects.diagnose import diagnose
from speech.defects.model import DefectModel, Frames
from tests.pipeline.defects.test_disfluency import words
from tests.pipeline.training.test_training import (
    CLASSES,
    LETTERS,
    MARKED,
    encoder_settings,
    example,
    head_settings,
    ignore,
)

pytestmark = pytest.mark.long

CPU = torch.device("cpu")


def model() -> DefectModel:
    return start_model(encoder_settings(), CLASSES, LETTERS, MARKED).eval()


def frozen(**changes: Any) -> HeadSettings:
    values: dict[str, Any] = {"frozen_epochs": 40, "epochs": 40, "marker_weight": 0, "copies": 2, "patience": 40}
    return head_settings(**(values | changes))


def sets(examples: Sequence[Example], imitation: Imitation | None = None) -> tuple[ExampleSet, ExampleSet]:
    changes = [] if imitation is None else [imitation]
    changed = ExampleSet(examples, 15.0, training=True, augmentation=Augmentation(), changes=changes)
    return ExampleSet(examples, 15.0, training=False), changed


def epochs(heard: HiddenStateSet, count: int) -> list[dict[str, object]]:
    """The first example as each of so many epochs draws it."""
    drawn = []
    for epoch in range(count):
        heard.set_epoch(epoch)
        drawn.append(heard[0])
    return drawn


def kept(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


def test_heads_learn_from_what_was_heard_and_nothing_else_changes(tmp_path: Path) -> None:
    training, validation = [example(i) for i in range(36)], [example(i) for i in range(100, 112)]
    learner = model()
    fixed = [part.state_dict() for part in (learner.encoder, learner.marker_head)]
    before = [{name: value.clone() for name, value in state.items()} for state in fixed]
    loads = {e.clip: 0 for e in training}

    def counted(of: Example) -> Example:
        def load() -> np.ndarray:
            loads[of.clip] += 1
            return of.load()

        return replace(of, load=load)

    finetune(learner, list(map(counted, training)), validation, frozen(), tmp_path, ignore, ignore)
    for was, now in zip(before, (learner.encoder.state_dict(), learner.marker_head.state_dict()), strict=True):
        assert all(torch.equal(was[name], now[name]) for name in was)
    assert set(loads.values()) == {3}  # as it is, and two copies: not once an epoch
    learner.eval()
    test = [example(i) for i in range(200, 212)]
    said = [CLASSES.index(answer.most_probable) for answer in diagnose(learner, [e.load() for e in test])]
    assert macro_f1([e.label or 0 for e in test], said, 3) > 0.8
    assert all(parameter.requires_grad for parameter in learner.parameters())
    predicted = sum(answer.markers["р"] for answer in diagnose(learner, [e.load() for e in (*training, *validation)]))
    assert predicted == pytest.approx(48, rel=0.05)  # counts of 0, 1 and 2 in turn
    assert len(kept(tmp_path / "heard")) == 36 * 3 + 12
    remove_cache(tmp_path)
    assert not (tmp_path / "heard").exists()


def test_a_batch_of_what_was_heard_gives_the_logits_of_the_sound(tmp_path: Path) -> None:
    heard, clips = model(), [example(0), replace(example(1), load=lambda: example(1).load()[:9_000], seconds=9 / 16)]
    cache = StateCache(tmp_path, 0, 1)
    cache_states(heard, *sets(clips), cache, ignore, CPU)
    items = [HiddenStateSet(clips, cache, training=False)[index] for index in range(2)]
    batch = HiddenStateCollator(None)(items)
    assert batch["labels"].tolist() == [0, 1]
    answers = diagnose(heard, [clip.load() for clip in clips])
    with torch.inference_mode():
        output = heard.of_frames(Frames(batch["hidden"], batch["mask"]))
    np.testing.assert_allclose(output.logits.numpy(), [answer.logits for answer in answers], atol=2e-3)
    counts = list(counts_from_cache(heard, clips, cache))
    np.testing.assert_allclose(counts, [list(answer.markers.values()) for answer in answers], atol=2e-3)


def test_clips_heard_together_are_as_alone(tmp_path: Path) -> None:
    heard, clips = model(), [replace(example(i), seconds=1.0 - i / 16) for i in range(5)]
    clips = [replace(clip, load=lambda c=clip: c.load()[: int(c.seconds * 16_000)]) for clip in clips]
    alone, together = StateCache(tmp_path / "alone", 2, 1), StateCache(tmp_path / "together", 2, 1)
    cache_states(heard, *sets(clips), alone, ignore, CPU)
    cache_states(heard, *sets(clips), together, ignore, CPU, at_once=4)
    assert len(kept(together.folder)) == 15
    for index in range(5):
        one, other = (HiddenStateSet(clips, cache, training=False)[index] for cache in (alone, together))
        assert one["hidden"].shape == other["hidden"].shape  # type: ignore[attr-defined]
        np.testing.assert_allclose(one["hidden"].float(), other["hidden"].float(), atol=4e-3)  # type: ignore[attr-defined]
        assert one["labels"] == other["labels"]


def test_versions_are_drawn_anew_but_the_same_for_a_seed_and_after_a_kill(tmp_path: Path) -> None:
    heard, clips = model(), [example(i) for i in range(4)]
    cache = StateCache(tmp_path / "one", 3, 5)
    cache_states(heard, *sets(clips), cache, ignore, CPU)
    whole = kept(cache.folder)
    assert len(whole) == 16
    drawn = {item["hidden"].float().sum().item() for item in epochs(HiddenStateSet(clips, cache, training=True), 40)}  # type: ignore[attr-defined]
    assert len(drawn) == 4
    gone = sorted(cache.folder.iterdir())[::3]
    first = {file.name: file.read_bytes() for file in gone}
    for file in gone:
        file.unlink()
    (cache.folder / f"{gone[0].stem}.part").write_bytes(b"half")
    lines: list[str] = []
    cache_states(heard, *sets(clips), cache, lines.append, CPU)
    again = kept(cache.folder)
    assert {name: again[name] for name in whole if name not in first} == {
        name: at for name, at in whole.items() if name not in first
    }
    assert {name: (cache.folder / name).read_bytes() for name in first} == first
    assert not list(cache.folder.glob("*.part"))
    other = StateCache(tmp_path / "two", 3, 6)
    cache_states(heard, *sets(clips), other, ignore, CPU)
    assert cache.file(clips[0], 0).read_bytes() == other.file(clips[0], 0).read_bytes()
    assert cache.file(clips[0], 1).read_bytes() != other.file(clips[0], 1).read_bytes()


def test_an_imitated_copy_carries_its_own_label(tmp_path: Path) -> None:
    clips = [replace(example(0), load=lambda: words(0.3, 0.3))]
    always = Imitation(reference=0, classes=(2,), share=1.0)
    cache = StateCache(tmp_path, 6, 1)
    cache_states(model(), *sets(clips, always), cache, ignore, CPU)
    assert HiddenStateSet(clips, cache, training=False)[0]["labels"] == (0,)
    labels = {item["labels"] for item in epochs(HiddenStateSet(clips, cache, training=True), 60)}
    assert (2,) in labels


def test_a_second_training_finds_what_the_first_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training, validation = [example(i) for i in range(12)], [example(i) for i in range(100, 106)]
    settings = frozen(epochs=2, frozen_epochs=2)
    finetune(model(), training, validation, settings, tmp_path, ignore, ignore)
    first = kept(tmp_path / "heard")
    second = model()
    heard: list[int] = []
    encode = second.encode
    monkeypatch.setattr(second, "encode", lambda *sound: heard.append(1) or encode(*sound))
    finetune(second, training, validation, settings, tmp_path, ignore, ignore, keep_best=False)
    assert len(heard) == 6 * 2  # the changed copies of the validation clips, which now are learned from
    assert {name: at for name, at in kept(tmp_path / "heard").items() if name in first} == first


@pytest.mark.parametrize("changes", [{"heard_gb": 1e-6}, {"heard_gb": 0}, {"frozen_epochs": 1}, {"marker_weight": 0.1}])
def test_without_room_or_with_an_encoder_that_learns_nothing_is_kept(tmp_path: Path, changes: dict[str, Any]) -> None:
    training, validation = [example(i) for i in range(12)], [example(i) for i in range(100, 106)]
    lines: list[str] = []
    settings = frozen(**({"epochs": 2, "frozen_epochs": 2} | changes))
    finetune(model(), training, validation, settings, tmp_path, lines.append, ignore)
    assert not list((tmp_path / "heard").glob("*"))
    assert any("no room" in line for line in lines) == (changes == {"heard_gb": 1e-6})


def test_a_full_disk_is_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("pipeline.defects.encoder_cache.shutil.disk_usage", lambda _: usage)
    cache = StateCache(tmp_path / "heard", 1, 0)
    assert cache.fits(600)
    assert not cache.fits(700)
    (cache.folder / "there.safetensors").write_bytes(b"x" * 500)
    assert cache.fits(1100)


def test_a_full_disk_is_told_and_changes_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("pipeline.defects.encoder_cache.shutil.disk_usage", lambda _: usage)
    training, validation = [example(i) for i in range(12)], [example(i) for i in range(100, 106)]
    with pytest.raises(NoRoom, match=r"no room for it. Free some, or set heads.heard_gb: 0"):
        finetune(model(), training, validation, frozen(epochs=2, frozen_epochs=2), tmp_path, ignore, ignore)


def test_a_torn_file_says_what_to_do(tmp_path: Path) -> None:
    clips, cache = [example(0)], StateCache(tmp_path, 0, 1)
    cache_states(model(), *sets(clips), cache, ignore, CPU)
    cache.file(clips[0], 0).write_bytes(b"torn")
    with pytest.raises(OSError, match="remove its folder"):
        HiddenStateSet(clips, cache, training=False)[0]


def test_nothing_is_heard_where_nothing_can_be_learned(tmp_path: Path) -> None:
    with pytest.raises(NothingToTrain, match="validation split"):
        finetune(model(), [example(1)], [], frozen(), tmp_path, ignore, ignore)
    assert not (tmp_path / "heard").exists()

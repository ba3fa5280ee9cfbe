"""A step that does not fit into memory is done again in parts, and the weights are as if it had fitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.defects.task import DefectTask
from pipeline.recognition.finetuning import RecogniserTask
from pipeline.training.steps import OutOfMemory
from pipeline.training.tasks import clips_of
from tests.pipeline.training.shared import TRAININGS
from tests.pipeline.training.test_training import ignore

pytestmark = pytest.mark.long

TASKS = {"encoder": DefectTask, "heads": DefectTask, "frozen": DefectTask, "recogniser": RecogniserTask}
Fails = Callable[[int, int], bool]  # of a call's number and its clips


def small(monkeypatch: pytest.MonkeyPatch, what: str, fails: Fails) -> list[int]:
    """Have the memory run out in some calls of the loss, after a part of the gradients is there; returns the clips of
    each call while training."""
    kind: Any = TASKS[what]
    loss, sizes = kind.loss, []

    def limited(self: Any, model: nn.Module, batch: Any, whole: Any = None) -> Any:
        if not torch.is_grad_enabled():
            return loss(self, model, batch, whole)
        sizes.append(clips_of(batch))
        value, output = loss(self, model, batch, whole)
        if fails(len(sizes), clips_of(batch)):
            (3 * value).backward()  # as far as it may have come
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return value, output

    monkeypatch.setattr(kind, "loss", limited)
    return sizes


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one)


@pytest.mark.parametrize("what", ["encoder", "heads", "frozen", "recogniser"])
def test_training_goes_on_as_if_the_batch_had_fitted(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, run = TRAININGS[what](tmp_path / "fits", ignore, ignore)
    fitted = weights(model)
    lines: list[str] = []
    # The second batch of the first step, and from the tenth call on whatever is more than one clip.
    sizes = small(monkeypatch, what, lambda call, clips: call == 2 or (call > 9 and clips > 1))
    model, again = TRAININGS[what](tmp_path / "does not", lines.append, ignore)
    assert furthest(fitted, weights(model)) < 2e-4
    assert again.steps == run.steps
    assert again.best == pytest.approx(run.best, rel=1e-5)
    assert sizes[:4] == [4, 4, 2, 2]
    assert set(sizes[12:]) == {1}
    told = [line for line in lines if "out of memory" in line]
    assert len(told) == 2
    assert "with 4 clips at once; this step is done again and training goes on with 2 at once" in told[0]
    assert "with 2 clips at once; this step is done again and training goes on with 1 at once" in told[1]


def test_the_comparison_sees_a_step_that_is_counted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = weights(TRAININGS["heads"](tmp_path / "fits", ignore, ignore)[0])
    small(monkeypatch, "heads", lambda call, clips: call == 2)
    monkeypatch.setattr(nn.Module, "zero_grad", lambda self, set_to_none=True: None)
    spoilt = weights(TRAININGS["heads"](tmp_path / "spoilt", ignore, ignore)[0])
    assert furthest(fitted, spoilt) > 1e-3


def test_random_numbers_are_those_of_the_step_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the clips were computed one by one already, a step that is done again has to give the very same."""
    drawn: list[float] = []
    kind: Any = DefectTask
    loss = kind.loss

    def watched(self: Any, model: nn.Module, batch: Any, whole: Any = None) -> Any:
        if torch.is_grad_enabled():
            drawn.append(float(torch.rand(())))
            if len(drawn) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss(self, model, batch, whole)

    monkeypatch.setattr(kind, "loss", watched)
    TRAININGS["heads"](tmp_path, ignore, ignore)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[1:])) == len(drawn) - 1


def test_where_not_even_one_clip_fits_it_says_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = small(monkeypatch, "encoder", lambda call, clips: True)
    with pytest.raises(
        OutOfMemory, match=r"encoder: one clip alone .* gradient_checkpointing: true, lower max_crop_sec"
    ):
        TRAININGS["encoder"](tmp_path, ignore, ignore)
    assert sizes == [4, 2, 1]


def test_validation_is_done_in_parts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, run = TRAININGS["heads"](tmp_path / "fits", ignore, ignore)
    kind: Any = DefectTask
    loss = kind.loss

    def limited(self: Any, model: nn.Module, batch: Any, whole: Any = None) -> Any:
        if not torch.is_grad_enabled() and clips_of(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss(self, model, batch, whole)

    monkeypatch.setattr(kind, "loss", limited)
    _, again = TRAININGS["heads"](tmp_path / "does not", ignore, ignore)
    figures = [[line["eval_loss"] for line in one.history if "eval_loss" in line] for one in (run, again)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-4)

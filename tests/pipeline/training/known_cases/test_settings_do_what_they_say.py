"""Settings that said one thing and did another, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.defects.finetuning import finetune
from pipeline.defects.pretraining import start_model
from pipeline.training.settings import TrainingSettings
from pipeline.training.trainer import TaskTrainer, TrainingRun
from speech.defects.model import DefectModel
from tests.pipeline.training.shared import ALPHABET, uneven
from tests.pipeline.training.test_training import (
    CLASSES,
    LETTERS,
    MARKED,
    encoder_settings,
    head_settings,
    ignore,
)

CLIPS = [uneven(number) for number in range(9)]
UNHEARD = [uneven(number) for number in range(100, 106)]


def trained(folder: Path, lines: Any = ignore, **how: Any) -> tuple[DefectModel, TrainingRun]:
    settings = head_settings(**({"epochs": 1, "augment": False} | how.pop("settings", {})))
    start = encoder_settings(pretext="letters")
    torch.manual_seed(7)
    model = start_model(start, CLASSES, LETTERS, MARKED, alphabet=ALPHABET)
    return model, finetune(model, CLIPS, UNHEARD, settings, folder, lines, ignore, **how)


def weights(model: DefectModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_what_shifts_and_scales_does_not_decay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.optim.Optimizer] = []
    create = TaskTrainer.create_optimizer
    monkeypatch.setattr(TaskTrainer, "create_optimizer", lambda self, *a: made.append(create(self, *a)) or made[-1])
    model, _ = trained(tmp_path, settings={"weight_decay": 0.3, "frozen_epochs": 0})
    decay = {id(p): group["weight_decay"] for group in made[0].param_groups for p in group["params"]}
    of = {name: decay[id(parameter)] for name, parameter in model.named_parameters() if id(parameter) in decay}
    assert set(of.values()) == {0.0, 0.3}
    assert {value for name, value in of.items() if name.endswith("bias") or "norm" in name} == {0.0}
    assert {value for name, value in of.items() if name.endswith("original0")} == {0.0}
    matrices = [value for name, value in of.items() if name.endswith("original1") or "proj.weight" in name]
    assert set(matrices) == {0.3}
    assert len({(group["lr"], group["weight_decay"]) for group in made[0].param_groups}) == len(made[0].param_groups)


@pytest.mark.parametrize("changed", [{"label_prior": 0.5}, {"per_word": False}])
def test_the_heads_keep_to_what_the_encoder_was_taught_by(tmp_path: Path, changed: dict[str, Any]) -> None:
    plain, other = (trained(tmp_path / name, **how)[0] for name, how in (("plain", {}), ("other", changed)))
    again, _ = trained(tmp_path / "again")
    assert torch.equal(weights(plain), weights(again))
    assert not torch.equal(weights(plain), weights(other))


def test_a_share_of_imitations_that_nothing_can_imitate_is_said(tmp_path: Path) -> None:
    lines: list[str] = []
    trained(tmp_path, lines.append, settings={"imitated_share": 0.4})
    assert [line for line in lines if "imitated_share has no effect" in line]


def test_patience_is_told_in_what_it_is_counted_in() -> None:
    """It is multiplied by the validations of an epoch: checkpoints may be more frequent without ending a training."""
    assert "epochs" in (TrainingSettings.model_fields["patience"].description or "").lower()

"""Encoders that are there without a hub: named, found, told apart by their weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.defects.pretraining import WHISPER_BASE, EncoderUnavailable, local_weights, start_model
from pipeline.defects.settings import EncoderSettings
from pipeline.training.start_weights import weights_hash
from speech.home import code_folder

CLASSES, LETTERS, MARKED = ("none", "burr"), ("р",), (True, True)


def test_whispers_encoder_starts_a_model() -> None:
    model = start_model(EncoderSettings(name=WHISPER_BASE), CLASSES, LETTERS, MARKED)
    assert model.spec.encoder["model_type"] == "whisper_encoder"
    assert not model.spec.normalise
    assert model.frame_seconds == pytest.approx(0.02)


def test_without_its_weights_the_error_says_what_fetches_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNYATNO_WEIGHTS", str(tmp_path))
    with pytest.raises(EncoderUnavailable, match="make setup"):
        start_model(EncoderSettings(name=WHISPER_BASE), CLASSES, LETTERS, MARKED)


def test_a_relative_path_is_found_beside_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_weights("configs") == code_folder() / "configs"
    (tmp_path / "configs").mkdir()
    assert local_weights("configs") == Path("configs")
    assert local_weights("facebook/wav2vec2-base") is None


def test_other_weights_have_another_hash(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = weights_hash(tmp_path)
    (tmp_path / "README.md").write_text("says nothing of the weights")
    assert weights_hash(tmp_path) == before
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert weights_hash(tmp_path) != before


def test_the_encoder_that_ships_is_trained_in_single_precision() -> None:
    model = start_model(EncoderSettings(name="encoders/small"), CLASSES, LETTERS, MARKED)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    output = model(torch.zeros(1, 16000), torch.tensor([16000]))
    assert torch.isfinite(output.logits).all()

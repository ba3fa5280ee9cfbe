"""Whisper's encoder on sound: the same as openai-whisper's, whatever the batch, and within a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import whisper

from speech.defects.diagnose import diagnose
from speech.defects.model import DefectModel
from speech.defects.spec import ModelSpec
from speech.encoders.whisper_encoder import MODEL_TYPE, SoundEncoder, from_checkpoint, sound_config
from speech.home import weights_folder
from speech.whisper.weights import OFFLINE_CHECKPOINT

TINY = {"num_mel_bins": 16, "max_source_positions": 100, "d_model": 32, "encoder_attention_heads": 2}
TINY |= {"encoder_layers": 2, "encoder_ffn_dim": 48, "decoder_layers": 0}


def tiny() -> SoundEncoder:
    torch.manual_seed(0)
    return SoundEncoder(sound_config(TINY)).eval()


def sound(seconds: float, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(1, int(seconds * 16_000), generator=torch.Generator().manual_seed(seed))


def test_thirty_seconds_are_encoded_as_openai_whisper_does() -> None:
    path = weights_folder() / OFFLINE_CHECKPOINT
    theirs = whisper.load_model(str(path), device="cpu").float().encoder.eval()
    ours = from_checkpoint(path).eval()
    clip = sound(30)
    with torch.inference_mode():
        expected = theirs(whisper.log_mel_spectrogram(clip[0], 80).unsqueeze(0))
        found = ours(clip).hidden_states[-1]
    assert found.shape == expected.shape
    inner = slice(10, -10)  # at the very ends Whisper mirrors the sound, and we, whose clips have padding, do not
    assert float((found - expected)[:, inner].abs().max()) < 0.02 * float(expected.abs().max())


def test_padding_changes_nothing() -> None:
    encoder = tiny()
    short, padded = sound(0.73), torch.zeros(1, 24_000)
    padded[:, : short.shape[1]] = short
    mask = (torch.arange(24_000) < short.shape[1]).long().unsqueeze(0)
    with torch.inference_mode():
        alone = encoder(short).hidden_states[-1]
        together = encoder(padded, mask).hidden_states[-1][:, : alone.shape[1]]
    assert torch.allclose(alone, together, atol=1e-4)


def test_more_than_thirty_seconds_are_heard_in_pieces() -> None:
    encoder = tiny()  # knows two seconds
    with torch.inference_mode():
        states = encoder(sound(5)).hidden_states
    assert [state.shape for state in states] == [(1, 250, 32)] * 3


def test_a_model_on_it_counts_its_frames_and_answers_clip_by_clip() -> None:
    torch.manual_seed(0)
    spec = ModelSpec(
        {"model_type": MODEL_TYPE, **TINY}, ("none", "burr"), ("р",), (True, True), width=8, normalise=False
    )
    model = DefectModel(spec).eval()
    clips = [sound(seconds, 3)[0].numpy() for seconds in (1.0, 0.613, 1.7)]
    for clip in clips:
        frames = model.encode(torch.from_numpy(clip).unsqueeze(0), torch.tensor([len(clip)]))
        assert frames.hidden.shape[2] == int(model.frame_count(torch.tensor(len(clip))))
    together = [answer.logits for answer in diagnose(model, clips)]
    alone = [diagnose(model, [clip])[0].logits for clip in clips]
    assert np.allclose(together, alone, atol=1e-4)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "whisper-base.pt"
    torch.save({"dims": {}}, path)
    with pytest.raises(ValueError, match=r"whisper-base\.pt is no openai-whisper checkpoint"):
        from_checkpoint(path)

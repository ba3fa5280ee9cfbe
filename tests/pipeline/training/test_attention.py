import pytest
import torch
from transformers import Wav2Vec2Model

from pipeline.training.attention import WRITTEN_OUT, written_out


@pytest.fixture(scope="module")
def encoder() -> Wav2Vec2Model:
    return Wav2Vec2Model.from_pretrained("encoders/small", dtype=torch.float32, mask_time_prob=0.0)


def gradient(encoder: Wav2Vec2Model) -> tuple[torch.Tensor, torch.Tensor]:
    sound = torch.randn(2, 24_000, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 24_000, dtype=torch.long)
    mask[1, 16_000:] = 0
    encoder.zero_grad()
    hidden = encoder(sound, attention_mask=mask).last_hidden_state
    hidden.square().mean().backward()
    weight = encoder.encoder.layers[0].attention.q_proj.weight
    return hidden.detach(), weight.grad.clone()


def test_it_computes_the_same(encoder: Wav2Vec2Model) -> None:
    hidden, grad = gradient(encoder)
    before = encoder.config._attn_implementation
    assert before != WRITTEN_OUT
    with written_out(encoder, seconds=2.0, batch=2):
        assert encoder.config._attn_implementation == WRITTEN_OUT
        other_hidden, other_grad = gradient(encoder)
    assert encoder.config._attn_implementation == before
    assert torch.allclose(hidden, other_hidden, atol=1e-4)
    assert torch.allclose(grad, other_grad, atol=1e-3 * float(grad.abs().max()))
    assert float(grad.abs().max()) > 0


def test_long_clips_keep_what_needs_no_room(encoder: Wav2Vec2Model) -> None:
    before = encoder.config._attn_implementation
    with written_out(encoder, seconds=300.0, batch=8):
        assert encoder.config._attn_implementation == before


def test_a_failure_puts_it_back(encoder: Wav2Vec2Model) -> None:
    before = encoder.config._attn_implementation
    with pytest.raises(RuntimeError), written_out(torch.nn.ModuleList([encoder]), seconds=1.0, batch=1):
        raise RuntimeError
    assert encoder.config._attn_implementation == before

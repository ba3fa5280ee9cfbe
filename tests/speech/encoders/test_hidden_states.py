"""Layers written as they are computed are those that the encoder would give."""

from __future__ import annotations

import threading

import pytest
import torch

from speech.defects.model import DefectModel, encoder_config
from speech.defects.spec import ModelSpec
from speech.encoders.hidden_states import written
from tests.bundles import CLASSES, ENCODER, tiny_model

KINDS = [
    {},
    {"do_stable_layer_norm": False},
    {"feat_extract_norm": "group", "do_stable_layer_norm": False},
    {"model_type": "hubert"},
    {"model_type": "wavlm"},
    {"model_type": "wavlm", "do_stable_layer_norm": False},
]


def stacked(model: DefectModel, sound: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return torch.stack(model.encoder(sound, attention_mask=mask, output_hidden_states=True).hidden_states)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_they_are_the_encoders_own(kind: dict[str, object]) -> None:
    model = tiny_model(**kind)
    sound, lengths = torch.randn(2, 24_000), torch.tensor([24_000, 15_000])
    inside = (torch.arange(24_000) < lengths.unsqueeze(1)).long()
    with torch.inference_mode():
        hidden = model.encode(sound, lengths).hidden
        expected = stacked(model, sound, inside if model.takes_mask else None)
    assert len(hidden) == encoder_config(ENCODER).num_hidden_layers + 1
    torch.testing.assert_close(hidden, expected, atol=0, rtol=0)


def test_mixed_precision_keeps_the_finest() -> None:
    model = tiny_model()
    sound = torch.randn(1, 16_000)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        hidden = model.encode(sound, torch.tensor([16_000])).hidden
        expected = stacked(model, sound, torch.ones(1, 16_000).long())
    assert hidden.dtype == expected.dtype
    torch.testing.assert_close(hidden, expected, atol=0, rtol=0)


def test_gradients_flow_where_they_are_wanted() -> None:
    model = tiny_model()
    model.encode(torch.randn(1, 16_000), torch.tensor([16_000])).hidden.sum().backward()
    assert all(weight.grad is not None for weight in model.encoder.encoder.layers.parameters())  # type: ignore[union-attr]


def test_an_encoder_of_two_models_is_watched_once() -> None:
    model = tiny_model()
    DefectModel(ModelSpec(ENCODER, CLASSES, ("р",), (True,) * 4, width=8), model.encoder)
    assert [len(layer._forward_hooks) for layer in model.encoder.encoder.layers] == [1, 1]  # type: ignore[union-attr]


def test_two_threads_do_not_write_to_each_others_layers() -> None:
    model = tiny_model()
    clips = [torch.randn(1, 16_000 + 320 * number) for number in range(4)]
    with torch.inference_mode():
        expected = [stacked(model, clip, None) for clip in clips]
    meeting, heard = threading.Barrier(len(clips)), {}

    def hear(number: int) -> None:
        def encode() -> None:
            meeting.wait()
            model.encoder(clips[number])
            meeting.wait()

        with torch.inference_mode():
            heard[number] = written(encode, model.depth)

    threads = [threading.Thread(target=hear, args=(number,)) for number in range(len(clips))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, hidden in enumerate(expected):
        torch.testing.assert_close(heard[number], hidden)

"""The convolutional front end in pieces gives what it gives in one."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from speech.bundles.defects import load_bundle
from speech.encoders.chunked_front_end import PIECE_FRAMES, FrontEnd, hear_in_pieces
from speech.home import Home
from tests.bundles import tiny_model, write_tiny_bundle

STRIDE, REACH = 320, 930  # samples, of the tests' encoder


def samples_of(frames: int, spare: int = 0) -> int:
    return (frames - 1) * STRIDE + REACH + spare


def both(**encoder: object) -> tuple[nn.Module, nn.Module]:
    """The same encoder whole and in pieces."""
    whole = tiny_model(**encoder).encoder
    pieces = copy.deepcopy(whole)
    hear_in_pieces(pieces)
    return whole, pieces


@pytest.mark.parametrize("spare", [0, STRIDE - 1])
@pytest.mark.parametrize("frames", [1, PIECE_FRAMES, PIECE_FRAMES + 1, 2 * PIECE_FRAMES, 3 * PIECE_FRAMES - 1])
def test_pieces_are_the_whole(frames: int, spare: int) -> None:
    whole, pieces = both()
    sound = torch.randn(2, samples_of(frames, spare))
    with torch.inference_mode():
        expected, given = whole.feature_extractor(sound), pieces.feature_extractor(sound)  # type: ignore[operator]
    assert expected.shape[2] == frames
    torch.testing.assert_close(given, expected, atol=1e-6, rtol=1e-5)


def test_no_more_than_a_piece_is_heard_at_once() -> None:
    _, pieces = both()
    heard: list[int] = []
    pieces.feature_extractor.conv_layers[0].register_forward_hook(  # type: ignore[union-attr, index]
        lambda _, given, __: heard.append(given[0].shape[-1])
    )
    with torch.inference_mode():
        pieces.feature_extractor(torch.randn(1, samples_of(5 * PIECE_FRAMES)))  # type: ignore[operator]
    assert heard == [samples_of(PIECE_FRAMES)] * 5


def test_a_norm_over_the_whole_clip_is_left_whole() -> None:
    whole, pieces = both(feat_extract_norm="group", do_stable_layer_norm=False)
    assert type(pieces.feature_extractor) is type(whole.feature_extractor)


def test_an_encoder_in_pieces_learns_as_before() -> None:
    whole, pieces = both()
    sound = torch.randn(1, samples_of(2 * PIECE_FRAMES))
    for encoder in (whole, pieces):
        encoder.feature_extractor.train()  # type: ignore[union-attr]
        encoder.feature_extractor(sound).sum().backward()  # type: ignore[operator]
    for ours, theirs in zip(pieces.parameters(), whole.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)
    pieces.freeze_feature_encoder()  # type: ignore[operator]
    assert not any(weight.requires_grad for weight in pieces.feature_extractor.parameters())  # type: ignore[union-attr]


def test_a_loaded_bundle_hears_in_pieces_under_the_same_names(data_home: Home) -> None:
    loaded = load_bundle(write_tiny_bundle(data_home, "tiny-1")).model
    assert isinstance(loaded.encoder.feature_extractor, FrontEnd)
    assert list(loaded.state_dict()) == list(tiny_model().state_dict())

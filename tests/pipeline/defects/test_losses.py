"""The losses, against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pipeline.defects.losses import balanced_weights, count_loss, defect_loss, marker_loss, span_totals, spelling_loss


def test_count_loss_is_the_poisson_likelihood() -> None:
    loss = count_loss(torch.tensor([[2.0, 0.5]]), torch.tensor([[3.0, 0.0]]))
    assert loss.item() == pytest.approx((2.0 - 3.0 * math.log(2.0) + 0.5) / 2)


def test_count_loss_is_least_at_the_true_count() -> None:
    counts = torch.tensor([[4.0]])
    losses = [count_loss(torch.tensor([[rate]]), counts).item() for rate in (3.0, 4.0, 5.0)]
    assert losses[1] < min(losses[0], losses[2])


def test_unknown_counts_are_left_out() -> None:
    known = count_loss(torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    both = count_loss(torch.tensor([[2.0], [9.0]]), torch.tensor([[1.0], [-1.0]]))
    assert both.item() == pytest.approx(known.item())
    assert count_loss(torch.tensor([[2.0]]), torch.tensor([[-1.0]])).item() == 0.0


def test_span_totals_sum_the_frames_of_each_word() -> None:
    intensity = torch.arange(10, dtype=torch.float32).reshape(1, 10, 1)
    spans = torch.tensor([[[0.0, 0.06], [0.1, 0.16], [0.18, 5.0]]])
    totals = span_totals(intensity, spans, 0.02)
    assert totals.squeeze().tolist() == [0 + 1 + 2, 5 + 6 + 7, 9]


def test_marker_loss_per_word_needs_the_mass_in_the_right_word() -> None:
    spans = torch.tensor([[[0.0, 0.1], [0.1, 0.2]]])
    counts = torch.tensor([[[1.0], [0.0]]])
    clip = torch.tensor([[1.0]])
    right = torch.zeros(1, 10, 1)
    right[0, 2] = 1.0
    wrong = torch.zeros(1, 10, 1)
    wrong[0, 7] = 1.0
    by_clip = [marker_loss(x, spans, counts, clip, 0.02, per_word=False).item() for x in (right, wrong)]
    by_word = [marker_loss(x, spans, counts, clip, 0.02, per_word=True).item() for x in (right, wrong)]
    assert by_clip[0] == pytest.approx(by_clip[1])
    assert by_word[0] < by_word[1]


def test_defect_loss_leaves_unlabelled_clips_out() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    weights = torch.ones(2)
    one = defect_loss(logits[:1], torch.tensor([0]), weights)
    both = defect_loss(logits, torch.tensor([0, -100]), weights)
    assert both.item() == pytest.approx(one.item())
    assert defect_loss(logits, torch.tensor([-100, -100]), weights).item() == 0.0


def test_balanced_weights_are_inverse_to_the_classes_shares() -> None:
    weights = balanced_weights(torch.tensor([3.0, 1.0, 0.0]))
    assert weights.tolist() == pytest.approx([4 / (2 * 3), 2.0, 0.0])


def spelled(*letters: int, frames: int = 12, size: int = 4) -> torch.Tensor:
    """Log probabilities (1, frames, size) of a model that is all but sure: letters at frames 2, 5, 8, …, else none."""
    scores = torch.zeros(1, frames, size)
    scores[0, :, 0] = 8.0
    for number, letter in enumerate(letters):
        scores[0, 2 + 3 * number] = 0.0
        scores[0, 2 + 3 * number, letter] = 8.0
    return scores.log_softmax(-1)


def spelling(
    value: torch.Tensor, clip: list[int], words: list[list[int]], spans: list[list[float]], **how: Any
) -> float:
    known = {"frame_seconds": 0.02, "per_word": True, "prior_weight": 0.0} | how
    return spelling_loss(
        value,
        torch.tensor([value.shape[1]]),
        torch.tensor([spans]).reshape(1, -1, 2),
        torch.tensor([words]).reshape(1, len(spans), -1),
        torch.tensor([clip]),
        **known,
    ).item()


def test_spelling_is_ctc_of_the_clip_where_it_is_known() -> None:
    value = spelled(1, 2, 3)
    own = torch.nn.functional.ctc_loss(
        value.transpose(0, 1), torch.tensor([[1, 2, 3]]), torch.tensor([12]), torch.tensor([3])
    )
    assert spelling(value, [1, 2, 3], [[3]], [[0.0, 0.24]]) == pytest.approx(own.item(), rel=1e-5)
    assert spelling(value, [3, 2, 1, 0], [[0]], [[0.0, 0.0]]) > own.item() + 1


def test_spelling_falls_back_on_sure_words() -> None:
    value = spelled(1, 2, 3, frames=30)
    right = spelling(value, [0], [[3, 0]], [[0.18, 0.2]])
    assert right < 1.0 < spelling(value, [0], [[1, 0]], [[0.18, 0.2]])
    assert spelling(value, [0], [[3, 0]], [[0.18, 0.2]], per_word=False) == 0.0


def test_spelling_without_letters_or_room_is_zero() -> None:
    assert spelling(spelled(1), [0], [[0]], [[0.0, 0.0]]) == 0.0
    assert spelling(spelled(1, frames=3), [1, 2, 3, 1], [[0]], [[0.0, 0.0]]) == 0.0


def test_the_label_prior_divides_by_how_frequent_each_letter_is() -> None:
    torch.manual_seed(0)
    value = torch.randn(1, 12, 4).log_softmax(-1)
    share = value.exp().mean(1, keepdim=True)
    levelled = (value.exp() / share**0.5).log().log_softmax(-1)
    known: tuple[Any, ...] = ([1, 2], [[0]], [[0.0, 0.0]])
    assert spelling(value, *known, prior_weight=0.5) == pytest.approx(spelling(levelled, *known), rel=1e-5)
    assert spelling(value, *known, prior_weight=0.5) != pytest.approx(spelling(value, *known), rel=1e-2)

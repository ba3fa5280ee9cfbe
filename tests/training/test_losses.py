"""The losses, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.training.losses import balanced_weights, count_loss, defect_loss, marker_loss, span_totals


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
    weights = balanced_weights([0, 0, 0, 1], 3)
    assert weights.tolist() == pytest.approx([4 / (2 * 3), 2.0, 0.0])

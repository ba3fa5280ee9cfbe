"""The arithmetic of shares and of F1, by hand."""

from __future__ import annotations

import pytest

from bench.people_shares import Share, Told


def test_the_interval_is_the_exact_one() -> None:
    """Of no hits of 20 the bound is 1 - 0.025^(1/20), of all hits its mirror image."""
    low, high = Share(0, 20).interval
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert Share(20, 20).interval == (pytest.approx(0.025 ** (1 / 20)), 1.0)


def test_hits_are_counted_one_by_one() -> None:
    share = Share().counted(True).counted(False).counted(True).counted(False)
    assert share == Share(2, 4)
    assert share.value == 0.5
    assert str(share) == "50.0% [6.8%, 93.2%]"


def test_of_nothing_there_is_nothing_to_say() -> None:
    assert str(Share()) == "-"


def test_f1_of_pairs() -> None:
    """6 of 10 stuttered copies are told, and 2 fluent ones are: precision 6/8, recall 6/10."""
    told = Told(Share(6, 10), Share(2, 10))
    assert told.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert Told(Share(0, 10), Share(0, 10)).f1 == 0.0

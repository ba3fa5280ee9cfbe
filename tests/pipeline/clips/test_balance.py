"""Groups are placed so that every split gets every class and its share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.clips.balance import Aim, Group, assign

SHARES = (0.65, 0.15, 0.2)
AIM = Aim(SHARES, min_clips=3, min_groups=1)
EVERYWHERE = (0, 1, 2)


def nothing(classes: int) -> np.ndarray:
    return np.zeros((3, classes), dtype=np.int64)


def table(groups: list[Group], chosen: dict[str, int], classes: int) -> np.ndarray:
    """Clips per split and class, shape (3, classes)."""
    counts = nothing(classes)
    for group in groups:
        counts[chosen[group.key]] += group.counts
    return counts


def groups_of(counts: Sequence[tuple[int, ...]]) -> list[Group]:
    return [Group(f"speaker {number}", clips, EVERYWHERE) for number, clips in enumerate(counts)]


def test_shares_are_met_closely_with_many_speakers() -> None:
    rng = np.random.default_rng(1)
    groups = groups_of([tuple(int(n) for n in rng.integers(0, 30, 4)) for _ in range(60)])
    counts = table(groups, assign(groups, AIM, nothing(4), nothing(4), seed=1), 4)
    assert counts / counts.sum(axis=0) == pytest.approx(np.array(SHARES)[:, None].repeat(4, axis=1), abs=0.02)


def test_a_speaker_per_class_and_split_is_found_where_only_one_way_exists() -> None:
    # Classes 0 and 1 each have three speakers, two of whom they share: only complete separation serves both.
    groups = groups_of([(5, 5), (5, 5), (5, 0), (0, 5)])
    for seed in range(10):
        counts = table(groups, assign(groups, AIM, nothing(2), nothing(2), seed), 2)
        assert (counts >= 3).all(), counts


@pytest.mark.parametrize("seed", range(5))
def test_speakers_with_one_class_each(seed: int) -> None:
    groups = groups_of([(4, 0, 0)] * 5 + [(0, 9, 0)] * 4 + [(0, 0, 3)] * 3 + [(50, 0, 0)])
    counts = table(groups, assign(groups, AIM, nothing(3), nothing(3), seed), 3)
    assert (counts >= 3).all(), counts


def test_what_is_placed_already_is_counted_in() -> None:
    placed = nothing(1)
    placed[0] = 100
    groups = groups_of([(10,)] * 10)
    counts = table(groups, assign(groups, AIM, placed, placed // 10, seed=1), 1)
    assert counts[:, 0].tolist() == [30, 30, 40]


def test_only_allowed_splits_are_used() -> None:
    groups = [Group(str(number), (5,), (0, 1)) for number in range(20)]
    assert set(assign(groups, AIM, nothing(1), nothing(1), seed=1).values()) == {0, 1}


def test_a_split_without_a_share_stays_empty() -> None:
    groups = [Group(str(number), (5,), (0, 1)) for number in range(20)]
    counts = table(groups, assign(groups, Aim((0.8, 0.2, 0.0), 3, 1), nothing(1), nothing(1), seed=1), 1)
    assert counts[:, 0].tolist() == [80, 20, 0]


def test_order_does_not_matter_and_the_seed_does() -> None:
    groups = groups_of([(5, 5)] * 30)
    one = assign(groups, AIM, nothing(2), nothing(2), seed=1)
    assert assign(groups[::-1], AIM, nothing(2), nothing(2), seed=1) == one
    assert assign(groups, AIM, nothing(2), nothing(2), seed=2) != one

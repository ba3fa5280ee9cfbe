"""Which split new groups of clips go to, so that every split has its share of every class.

Groups (speakers) are placed largest first where they are needed most, then moved and exchanged while that helps:
the objective is first that every class has its least number of clips and groups in every split, then the squared
distance from the wanted shares, each class weighing the same whatever its size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DEFICIT_WEIGHT = 1000.0  # one missing clip outweighs any imbalance: that is at most 2 per class
_MAX_PASSES = 20
_MAX_EXCHANGED_GROUPS = 80  # exchanges cost the square of it; with more groups moves alone come close enough


@dataclass(frozen=True)
class Group:
    """Clips that must stay together: `counts` per class, and the splits (by index) they may go to."""

    key: str
    counts: tuple[int, ...]
    allowed: tuple[int, ...]


@dataclass(frozen=True)
class Aim:
    """What a good assignment is: `shares` per split, and the fewest clips and groups of a class in any split."""

    shares: tuple[float, ...]
    min_clips: int
    min_groups: int


class Assignment:
    """Clips and groups per split and class, `clips` and `groups` of shape (splits, classes), changed in place."""

    def __init__(self, aim: Aim, clips: np.ndarray, groups: np.ndarray, totals: np.ndarray) -> None:
        """`clips` and `groups` say what is placed already; `totals` (classes,) how many clips there will be."""
        self._shares = np.array(aim.shares)[:, None]
        self._aim = aim
        self._used = self._shares > 0
        self._totals = np.maximum(totals, 1)[None, :]
        self._present = (totals > 0)[None, :]
        self.clips = clips.astype(np.int64)
        self.groups = groups.astype(np.int64)

    def add(self, split: int, counts: np.ndarray, sign: int = 1) -> None:
        """Put a group into a split, or with `sign` -1 take it out."""
        self.clips[split] += sign * counts
        self.groups[split] += sign * (counts > 0)

    def cost(self) -> float:
        """The objective; lower is better."""
        relevant = self._used & self._present
        missing = np.maximum(0, self._aim.min_clips - self.clips) + np.maximum(0, self._aim.min_groups - self.groups)
        distance = np.square(self.clips / self._totals - self._shares)
        return _DEFICIT_WEIGHT * float(missing[relevant].sum()) + float(distance.sum())


def assign(groups: Sequence[Group], aim: Aim, clips: np.ndarray, placed: np.ndarray, seed: int) -> dict[str, int]:
    """Group key to split index.

    `clips` and `placed` of shape (splits, classes) count clips and groups that are assigned already and do not move.
    The result depends on the groups and the seed, not on the order of the groups.
    """
    counts = {group.key: np.array(group.counts) for group in groups}
    ordered = sorted(groups, key=lambda group: (-sum(group.counts), _lot(seed, group.key)))
    totals = clips.sum(axis=0) + sum(counts.values(), np.zeros(clips.shape[1], dtype=np.int64))
    state = Assignment(aim, clips, placed, totals)
    chosen: dict[str, int] = {}
    for group in ordered:
        chosen[group.key] = min(group.allowed, key=lambda split: _cost_with(state, split, counts[group.key]))
        state.add(chosen[group.key], counts[group.key])
    for _ in range(_MAX_PASSES):
        moved = _move(ordered, counts, chosen, state)
        if len(ordered) <= _MAX_EXCHANGED_GROUPS:
            moved |= _exchange(ordered, counts, chosen, state)
        if not moved:
            break
    return chosen


def _lot(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}/{key}".encode()).hexdigest()


def _cost_with(state: Assignment, split: int, counts: np.ndarray) -> float:
    state.add(split, counts)
    cost = state.cost()
    state.add(split, counts, -1)
    return cost


def _move(groups: Sequence[Group], counts: dict[str, np.ndarray], chosen: dict[str, int], state: Assignment) -> bool:
    """Move single groups to better splits; whether any was."""
    moved = False
    for group in groups:
        now = chosen[group.key]
        if len(group.allowed) < 2:
            continue
        state.add(now, counts[group.key], -1)
        costs = {split: _cost_with(state, split, counts[group.key]) for split in group.allowed}
        best = min(costs, key=lambda split: costs[split])
        if costs[best] >= costs[now] - 1e-12:
            best = now
        state.add(best, counts[group.key])
        moved |= best != now
        chosen[group.key] = best
    return moved


def _exchange(
    groups: Sequence[Group], counts: dict[str, np.ndarray], chosen: dict[str, int], state: Assignment
) -> bool:
    """Exchange pairs of groups between splits; whether any was."""
    moved = False
    cost = state.cost()
    for index, one in enumerate(groups):
        for other in groups[index + 1 :]:
            here, there = chosen[one.key], chosen[other.key]
            if here == there or there not in one.allowed or here not in other.allowed:
                continue
            difference = counts[other.key] - counts[one.key]
            if not difference.any():
                continue
            _swap(state, counts[one.key], counts[other.key], here, there)
            after = state.cost()
            if after < cost - 1e-12:
                chosen[one.key], chosen[other.key] = there, here
                cost, moved = after, True
            else:
                _swap(state, counts[one.key], counts[other.key], there, here)
    return moved


def _swap(state: Assignment, one: np.ndarray, other: np.ndarray, here: int, there: int) -> None:
    """Take `one` from `here` to `there` and `other` the opposite way."""
    state.add(here, one, -1)
    state.add(there, other, -1)
    state.add(there, one)
    state.add(here, other)

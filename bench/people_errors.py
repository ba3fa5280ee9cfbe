"""Errors against coverage: how often the most probable class is wrong among the recordings that are surest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.people_shares import Share

COVERED = (1.0, 0.75, 0.5, 0.25)  # of the recordings, the surest first


@dataclass(frozen=True)
class Outcome:
    """What became of one recording whose truth is known."""

    probability: float
    """Of the most probable class."""
    outright: bool
    """Whether the service decides: no verdict on it is unsure."""
    wrong: bool
    """Whether the most probable class is another than the truth."""


def outright(outcomes: Sequence[Outcome]) -> tuple[Share, Share]:
    """(decided, of those wrong)."""
    decided = [one for one in outcomes if one.outright]
    return Share(len(decided), len(outcomes)), Share(sum(one.wrong for one in decided), len(decided))


def among_surest(outcomes: Sequence[Outcome], share: float) -> Share:
    """Which are wrong of that share of the recordings, 0 to 1, whose most probable class is most probable."""
    surest = sorted(outcomes, key=lambda one: -one.probability)[: round(share * len(outcomes))]
    return Share(sum(one.wrong for one in surest), len(surest))

"""Figures by group of speakers (children, a region, …), where the table names groups: a mean can hide whom it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from pipeline.evaluation.bootstrap import Voiced, interval, resamples, shown_interval, unit
from pipeline.evaluation.metrics import indicators

FEWEST_CLIPS = 10  # of a group; from fewer a share of right answers says nothing


class Grouped(Voiced, Protocol):
    """A labelled clip, and the group of its speaker, None where the table names none."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def group(self) -> str | None: ...


def group_metrics(
    clips: Sequence[Grouped], said: Sequence[Sequence[str]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """A row per group, by name, last the clips of no group (`group` None); empty where no clip names a group.

    `said` are the classes named, one clip after the other; where classes are exclusive, one a clip. Each row has
    `group`, `clips` and `speakers` (known ones), and either `macro_f1`, over the classes that the group's clips have,
    and `accuracy`, both from 0 to 1 with the 95% interval of a bootstrap over speakers (None where there is one), or
    `left_out` with the reason why it is not scored.
    """
    if all(clip.group is None for clip in clips):
        return []
    names = sorted({clip.group for clip in clips}, key=lambda name: (name is None, name or ""))
    rows = []
    for name in names:
        chosen = [index for index, clip in enumerate(clips) if clip.group == name]
        members = [clips[index] for index in chosen]
        speakers = {clip.speaker for clip in members if clip.speaker is not None}
        row: dict[str, Any] = {"group": name, "clips": len(members), "speakers": len(speakers)}
        rows.append(row | _scores(members, [said[index] for index in chosen], classes))
    return rows


def _scores(clips: Sequence[Grouped], said: Sequence[Sequence[str]], classes: Sequence[str]) -> dict[str, Any]:
    if len(clips) < FEWEST_CLIPS:
        return {"left_out": f"too few clips to score: {FEWEST_CLIPS} are needed"}
    truth, named = indicators([clip.labels for clip in clips], classes), indicators(said, classes)
    draws = resamples([unit(clip) for clip in clips])
    return {
        name: interval(figure(truth, named), np.array([figure(truth[draw], named[draw]) for draw in draws]))
        for name, figure in (("macro_f1", macro_f1), ("accuracy", accuracy))
    }


def macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean F1 over the classes in `truth`, at least one; both say which each clip has: bool (clips, classes)."""
    there, named, hits = truth.sum(0), said.sum(0), (truth & said).sum(0)
    present = there > 0
    return float((2 * hits[present] / (there + named)[present]).mean())


def accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """Share of clips whose classes are all right, 0 to 1; `truth` and `said` as for `macro_f1`."""
    return float((truth == said).all(1).mean())


def shown_groups(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows for people: figures as text with their intervals, what is not scored with the reason."""
    return [
        {
            "group": "(not named)" if row["group"] is None else row["group"],
            "clips": row["clips"],
            "speakers": row["speakers"],
            **{name: shown_interval(row[name]) if name in row else "" for name in ("macro_f1", "accuracy")},
            "note": row.get("left_out") or ("" if row["accuracy"]["low"] is not None else "one voice: no interval"),
        }
        for row in rows
    ]

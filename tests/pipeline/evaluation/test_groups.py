"""Figures by group of speakers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.defects.predictions import LabelledClip
from pipeline.evaluation.groups import FEWEST_CLIPS, group_metrics, macro_f1, shown_groups
from tests.bundles import CLASSES
from tests.pipeline.evaluation.exhibits import clip


def group(
    name: str | None, clips: int, speakers: int, labels: tuple[str, ...] = ("none", "burr")
) -> list[LabelledClip]:
    return [
        clip(f"{name} {i}", labels[i % len(labels)], speaker=f"{name} {i % speakers}", group=name) for i in range(clips)
    ]


def test_a_group_that_the_model_fails_is_seen() -> None:
    clips = group("adults", 40, 8) + group("children", 40, 8)
    said = [c.labels if c.group == "adults" else ("stutter",) for c in clips]
    adults, children = group_metrics(clips, said, CLASSES)
    assert (adults["group"], adults["clips"], adults["speakers"]) == ("adults", 40, 8)
    assert adults["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert adults["macro_f1"]["value"] == 1.0  # over the two classes that are there, not over all four
    assert children["accuracy"]["value"] == children["macro_f1"]["value"] == 0.0
    json.dumps([adults, children], allow_nan=False)


def test_the_interval_draws_whole_speakers() -> None:
    few, many = group("few", 40, 2, ("burr",)), group("many", 40, 40, ("burr",))
    said = [("burr",) if i % 2 else ("none",) for i in range(40)]  # of two speakers, one is always wrong
    rows = group_metrics(few + many, said * 2, CLASSES)
    widths = [row["accuracy"]["high"] - row["accuracy"]["low"] for row in rows]
    assert [row["accuracy"]["value"] for row in rows] == [0.5, 0.5]
    assert widths[0] == 1.0
    assert 0.2 < widths[1] < 0.4


def test_too_few_clips_are_not_scored() -> None:
    clips = group("adults", FEWEST_CLIPS, 3) + group("children", FEWEST_CLIPS - 1, 3)
    adults, children = group_metrics(clips, [c.labels for c in clips], CLASSES)
    assert "accuracy" in adults
    assert "left_out" not in adults
    assert "accuracy" not in children
    assert children["left_out"] == "too few clips to score: 10 are needed"


def test_clips_of_no_group_stand_last() -> None:
    clips = group(None, 12, 4) + group("z", 12, 4)
    rows = group_metrics(clips, [c.labels for c in clips], CLASSES)
    assert [row["group"] for row in rows] == ["z", None]
    assert [row["group"] for row in shown_groups(rows)] == ["z", "(not named)"]


def test_without_groups_there_is_no_row() -> None:
    assert group_metrics(group(None, 20, 4), [("none",)] * 20, CLASSES) == []


def test_what_is_shown_has_a_figure_or_a_reason() -> None:
    clips = group("one", 12, 1) + group("some", 12, 4) + group("few", 2, 2)
    rows = shown_groups(group_metrics(clips, [c.labels for c in clips], CLASSES))
    assert rows == [
        {"group": "few", "clips": 2, "speakers": 2, "macro_f1": "", "accuracy": "",
         "note": "too few clips to score: 10 are needed"},
        {"group": "one", "clips": 12, "speakers": 1, "macro_f1": "1.000", "accuracy": "1.000",
         "note": "one voice: no interval"},
        {"group": "some", "clips": 12, "speakers": 4, "macro_f1": "1.000 [1.000, 1.000]",
         "accuracy": "1.000 [1.000, 1.000]", "note": ""},
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_the_usual_one_over_the_classes_there(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, said = generator.integers(0, 3, 30), generator.integers(0, 5, 30)
    usual = f1_score(truth, said, labels=np.unique(truth), average="macro", zero_division=0.0)
    classes = np.arange(5)
    assert macro_f1(truth[:, None] == classes, said[:, None] == classes) == pytest.approx(usual)


def test_of_several_defects_each_counts_and_all_must_be_right() -> None:
    clips = [
        clip(f"{group} {i}", "burr", also=("stutter",), speaker=f"{group} {i % 4}", group=group)
        for group in ("adults", "children")
        for i in range(20)
    ]
    said = [c.labels if c.group == "adults" else ("burr",) for c in clips]
    adults, children = group_metrics(clips, said, CLASSES)
    assert (adults["accuracy"]["value"], adults["macro_f1"]["value"]) == (1.0, 1.0)
    assert children["accuracy"] == {"value": 0.0, "low": 0.0, "high": 0.0}  # the stutter is missed in every clip
    assert children["macro_f1"]["value"] == 0.5  # the mean of the burr's 1 and the stutter's 0

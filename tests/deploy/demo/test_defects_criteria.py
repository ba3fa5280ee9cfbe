from __future__ import annotations

import math
from dataclasses import replace

import pytest

from deploy.demo.defects_criteria import Scores, read_scores, shortcomings
from deploy.demo.defects_demo import score_lines
from deploy.demo.recorded_metrics import RecordedMetricError

GOOD = Scores(macro_f1=0.30, majority_macro_f1=0.10, marker_mae=0.5, marker_mae_of_mean=0.6)


def test_a_good_run_has_no_shortcomings() -> None:
    assert shortcomings("b", "b", GOOD) == []


def test_macro_f1_at_the_margin_passes() -> None:
    assert shortcomings("b", "b", replace(GOOD, macro_f1=0.25, majority_macro_f1=0.10)) == []


@pytest.mark.parametrize(
    ("scores", "word"),
    [
        (replace(GOOD, macro_f1=0.249), "macro-F1"),
        (replace(GOOD, macro_f1=math.nan), "macro-F1"),
        (replace(GOOD, majority_macro_f1=math.nan), "macro-F1"),
        (replace(GOOD, marker_mae=0.6), "marker count"),
        (replace(GOOD, marker_mae=math.nan), "marker count"),
        (replace(GOOD, marker_mae_of_mean=math.nan), "marker count"),
    ],
)
def test_each_figure_can_fail_alone(scores: Scores, word: str) -> None:
    (problem,) = shortcomings("b", "b", scores)
    assert word in problem


def test_an_answer_of_another_bundle_fails() -> None:
    (problem,) = shortcomings("new", "old", GOOD)
    assert "old" in problem
    assert "new" in problem


def test_all_shortcomings_are_told_at_once() -> None:
    assert len(shortcomings("new", "old", Scores(0.1, 0.1, 0.7, 0.6))) == 3


def test_scores_come_from_the_evaluations_metadata() -> None:
    metadata = {"macro_f1": 0.3, "majority_macro_f1": 0.1, "marker_mae": 0.5, "marker_mae_of_mean": 1, "clips": 40}
    assert read_scores(metadata) == Scores(0.3, 0.1, 0.5, 1.0)


@pytest.mark.parametrize("value", [None, "0.5", True])
def test_a_figure_that_is_missing_or_no_number_is_named(value: object) -> None:
    metadata = {"macro_f1": 0.3, "majority_macro_f1": 0.1, "marker_mae": value, "marker_mae_of_mean": 1.0}
    with pytest.raises(RecordedMetricError, match="marker_mae"):
        read_scores(metadata)


@pytest.mark.parametrize("why", ["no trusted transcripts of test clips", "no class has marker letters"])
def test_what_could_not_be_measured_is_said_and_the_rest_judges(why: str) -> None:
    metadata = {"macro_f1": 0.3, "majority_macro_f1": 0.1, "marker_unmeasured": why}
    scores = read_scores(metadata)
    assert scores == Scores(0.3, 0.1, None, None, why)
    assert f"marker count error  could not be measured: {why}" in score_lines(scores)
    assert shortcomings("b", "b", scores) == []
    assert len(shortcomings("new", "old", replace(scores, macro_f1=0.1))) == 2


def test_what_was_measured_is_shown_beside_what_it_must_beat() -> None:
    assert "  marker count error   0.500    0.600  (below)" in score_lines(GOOD)


def test_a_figure_that_is_missing_without_a_reason_is_named() -> None:
    with pytest.raises(RecordedMetricError, match="no number macro_f1"):
        read_scores({"majority_macro_f1": 0.1, "marker_unmeasured": "no trusted transcripts of test clips"})
    with pytest.raises(RecordedMetricError, match="no number marker_mae"):
        read_scores({"macro_f1": 0.3, "majority_macro_f1": 0.1, "marker_unmeasured": None})

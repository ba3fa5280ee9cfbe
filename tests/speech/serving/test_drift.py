from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech.home import Home
from speech.serving.drift import (
    Answer,
    DriftError,
    Scale,
    Tally,
    count,
    merged,
    psi,
    read_tally,
    scales,
    tally_file,
    tally_files,
    write_tally,
)

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
EXCLUSIVE = {"classes": ["none", "burr"], "confusion": [[50, 10], [20, 20]]}


def quantiles(values: np.ndarray) -> dict[str, float]:
    return {str(share): float(value) for share, value in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def index_of(training: np.ndarray, heard: np.ndarray) -> float:
    known = scales({"figure": quantiles(training)}, {})
    counts = count([Answer({"figure": float(value)}, ("none",)) for value in heard], known)
    return psi(known["figure"], counts["figure"])


def test_the_index_is_that_of_its_formula() -> None:
    scale = Scale((0.5, 0.5), ("low", "high"), (1.0,))
    p = np.array([900.5, 100.5]) / 1001
    assert psi(scale, [900.0, 100.0]) == pytest.approx(float(((p - 0.5) * np.log(p / 0.5)).sum()))
    assert psi(scale, [500.0, 500.0]) == 0


def test_the_same_population_does_not_drift_and_another_one_does() -> None:
    generator = np.random.default_rng(0)
    training = generator.normal(-25, 4, 3000)
    assert index_of(training, generator.normal(-25, 4, 500)) < 0.05
    assert 0.1 < index_of(training, generator.normal(-23, 4, 500)) < 0.4
    assert index_of(training, generator.normal(-40, 4, 500)) > 2


@pytest.mark.parametrize("share", [0.15, 0.3, 0.49, 0.9])
def test_a_value_that_many_clips_have_exactly_is_no_drift(share: float) -> None:
    """Silence, for one: a third of clips has none at all."""
    generator = np.random.default_rng(1)

    def population(size: int) -> np.ndarray:
        return np.where(generator.random(size) < share, 0.0, generator.exponential(0.1, size))

    assert index_of(population(5000), population(500)) < 0.1


def test_every_figure_with_quantiles_is_taken_up_and_nothing_else() -> None:
    statistics: dict[str, Any] = {
        "seconds": {"0.05": 1.0, "0.5": 2.0, "0.95": 4.0},
        "band_500_hz": {"0.05": -3, "0.5": 0, "0.95": 3},
        "constant": {"0.05": 1.0, "0.5": 1.0, "0.95": 1.0},
        "training_distance": {"clips": 3, "figures": {}, "threshold": 1.0},
        "falling": {"0.05": 3.0, "0.95": 1.0},
        "shares": {"5": 1.0},
        "words": {"0.5": "two"},
        "endless": {"0.5": float("nan")},
        "clips": 40,
    }
    known = scales(statistics, {})
    assert set(known) == {"seconds", "band_500_hz"}
    assert known["seconds"].shares == pytest.approx((0.05, 0.45, 0.45, 0.05))
    assert known["seconds"].labels == ("below 1", "1 to 2", "2 to 4", "above 4")


def test_values_fall_into_their_bins() -> None:
    known = scales({"seconds": {"0.05": 1.0, "0.5": 2.0, "0.95": 4.0}}, {})
    answers = [Answer({"seconds": value}, ("none",)) for value in (0.5, 1.5, 3.0, 3.5, 9.0, float("nan"))]
    assert count(answers, known) == {"seconds": [1.0, 1.0, 2.0, 1.0]}
    assert count([Answer({"seconds": 2.0}, ("none",))], known)["seconds"] == pytest.approx([0.0, 0.5, 0.5, 0.0])
    assert count([Answer({"another": 2.0}, ("none",))], known) == {}


def test_exclusive_classes_are_held_against_those_named_on_the_test_split() -> None:
    known = scales({}, EXCLUSIVE)
    assert known["class"].labels == ("none", "burr")
    assert known["class"].shares == pytest.approx((70.5 / 101, 30.5 / 101))
    assert known["class"].clips == 100
    answers = [Answer({}, ("burr",))] * 3 + [Answer({}, ("none",)), Answer({}, ("unknown",))]
    assert count(answers, known) == {"class": [1.0, 3.0]}


def test_several_defects_at_once_are_a_figure_each() -> None:
    row = {"true_positive": 20, "false_positive": 10, "false_negative": 30, "true_negative": 40}
    known = scales({}, {"classes": ["none", "burr", "stutter"], "per_class": dict.fromkeys(["none", "burr"], row)})
    assert set(known) == {"class.burr"}
    assert known["class.burr"].shares == pytest.approx((30.5 / 101, 70.5 / 101))
    answers = [Answer({}, ("burr", "stutter")), Answer({}, ("none",)), Answer({}, ("stutter",))]
    assert count(answers, known) == {"class.burr": [1.0, 2.0]}


def test_figures_of_an_evaluation_that_knew_neither_are_no_failure() -> None:
    assert scales({"clips": 1}, {"per_class": {"burr": {"f1": 0.5}}}) == {}


def test_workers_add_up(data_home: Home) -> None:
    known = scales({"seconds": {"0.5": 2.0}}, EXCLUSIVE)
    write_tally(data_home, "tiny-1", "host-8000-1", 3, {"seconds": [1.0, 2.0], "class": [3.0, 0.0]})
    write_tally(data_home, "tiny-1", "host-8000-2", 2, {"seconds": [0.5, 1.5], "gone": [1.0], "class": [2.0]})
    tallies = [read_tally(path) for path in tally_files(data_home)]
    assert [(tally.worker, tally.answers) for tally in tallies] == [("host-8000-1", 3), ("host-8000-2", 2)]
    assert merged(tallies, known) == {"seconds": [1.5, 3.5], "class": [3.0, 0.0]}


@pytest.mark.parametrize(
    "change",
    [
        {"bundle": "../elsewhere"},
        {"written": "yesterday"},
        {"written": "2025-03-01T10:15:00"},
        {"counts": {"seconds": "many"}},
        {"answers": None},
        {"counts": {"seconds": [-1.0]}},
    ],
)
def test_a_file_that_is_none_of_ours_is_named(data_home: Home, change: dict[str, Any]) -> None:
    write_tally(data_home, "tiny-1", "w", 1, {"seconds": [1.0]})
    path: Path = tally_file(data_home, "w")
    assert isinstance(read_tally(path), Tally)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DriftError, match=r"drift-w\.json holds no counts"):
        read_tally(path)

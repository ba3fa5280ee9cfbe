"""Windows of a population that has not changed: their index is told beside what chance gives."""

from __future__ import annotations

import numpy as np
import pytest

from speech.defects.training_distance import KEY, QUANTILES
from speech.files import write_json
from speech.home import Home
from speech.serving.drift import Scale, by_chance, psi, reference
from tests.bundles import METRICS, write_tiny_bundle

WINDOWS = 400
CONFUSION = METRICS | {"classes": ["none", "burr"], "confusion": [[20, 5], [5, 10]]}


def quantiles(values: np.ndarray) -> dict[str, float]:
    return {str(share): float(value) for share, value in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def windows(clips: int, answers: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The index of each of many windows, each against training clips of its own, and what chance gives."""
    told = []
    for seed in range(WINDOWS):
        generator = np.random.default_rng((seed, clips, answers))
        edges = tuple(quantiles(generator.standard_normal(clips)).values())
        scale = Scale(tuple(np.diff([0.0, *QUANTILES, 1.0])), ("",) * (len(edges) + 1), edges, clips)
        values = generator.standard_normal(answers) + shift
        counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1).tolist()
        told.append((psi(scale, counts), by_chance(scale, counts)))
    index, chance = np.array(told).T
    return index, chance


@pytest.mark.parametrize(
    ("clips", "answers"), [(50, 500), (100, 100), (300, 100), (300, 300), (1000, 100), (1000, 2000)]
)
def test_an_unchanged_population_is_seldom_above_chance(clips: int, answers: int) -> None:
    index, chance = windows(clips, answers)
    assert (index > chance).mean() < 0.035


def test_the_bare_index_of_few_answers_often_seems_a_change() -> None:
    index, chance = windows(1000, 100)
    assert (index > 0.1).mean() > 0.1
    assert chance.min() > 0.1


@pytest.mark.parametrize(("clips", "answers", "shift"), [(300, 100, 1.0), (300, 500, 0.5), (1000, 2000, 0.3)])
def test_a_changed_population_is_above_chance(clips: int, answers: int, shift: float) -> None:
    index, chance = windows(clips, answers, shift)
    assert (index > chance).mean() > 0.9


def test_classes_named_on_few_test_clips_are_held_against_chance(data_home: Home) -> None:
    folder = write_tiny_bundle(data_home, "tiny-1", metrics=CONFUSION)
    write_json(folder / "statistics.json", {"seconds": {"0.5": 2.0}})
    scale = reference(folder, CONFUSION)["class"]
    assert scale.clips == 40
    generator = np.random.default_rng(0)
    above = 0
    for _ in range(WINDOWS):  # the test split was drawn from the same population as the answers
        share = generator.binomial(40, 0.6) / 40
        drawn = Scale((share, 1 - share), scale.labels, clips=40)
        counts = generator.multinomial(100, (0.6, 0.4)).tolist()
        above += psi(drawn, counts) > by_chance(drawn, counts)
    assert above / WINDOWS < 0.035


def test_how_many_clips_figures_are_known_from(data_home: Home) -> None:
    folder = write_tiny_bundle(data_home, "tiny-1")
    figures = {"seconds": {"0.05": 1.0, "0.95": 4.0}}
    write_json(folder / "statistics.json", figures | {KEY: {"clips": 40}})
    (folder / "trained_on.txt").write_text("a\nb\nc\n")
    assert reference(folder, METRICS)["seconds"].clips == 40
    write_json(folder / "statistics.json", figures)
    assert reference(folder, METRICS)["seconds"].clips == 3
    write_json(folder / "statistics.json", [])
    with pytest.raises(ValueError, match="holds no figures"):
        reference(folder, METRICS)

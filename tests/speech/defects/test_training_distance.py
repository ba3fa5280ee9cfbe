"""Clips held against training clips."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from speech.audio.quality import band_centres
from speech.defects.training_distance import (
    KEY,
    LEAST_CLIPS,
    TrainingDistance,
    TrainingDistanceError,
    describe,
    figures_of,
    read,
)
from tests.recordings import babble


def clip(seed: int) -> np.ndarray:
    """One of a kind of recording: level, length, noise and voice differ."""
    rng = np.random.default_rng(seed)
    sound = rng.uniform(0.5, 1.5) * babble(int(rng.integers(10, 18)), rng.uniform(3.5, 5), seed)
    return (sound + rng.uniform(0.001, 0.003) * rng.standard_normal(len(sound))).astype(np.float32)


@pytest.fixture(scope="module")
def training() -> list[dict[str, float]]:
    return [figures_of(clip(seed)) for seed in range(60)]


@pytest.fixture(scope="module")
def statistics(training: list[dict[str, float]]) -> dict[str, Any]:
    return json.loads(json.dumps(describe(training)))


@pytest.fixture(scope="module")
def training_distance(statistics: dict[str, Any]) -> TrainingDistance:
    found = read(statistics)
    assert found is not None
    return found


def test_a_training_clip_is_like_the_others_unless_it_is_odd(
    training_distance: TrainingDistance, training: list[dict[str, float]]
) -> None:
    assert sum(training_distance.of(figures).unlike for figures in training) <= 1
    odd = read(describe([*training[:30], training[0] | {"level_dbfs": -80.0, "snr_db": 0.0}]))
    assert odd is not None
    assert not any(odd.of(figures).unlike for figures in training[:30])


def test_new_clips_of_the_kind_are_like_them(training_distance: TrainingDistance) -> None:
    distances = [training_distance.of(figures_of(clip(seed))) for seed in range(100, 130)]
    assert sum(distance.unlike for distance in distances) <= 3
    assert all(distance.why == () for distance in distances if not distance.unlike)


def test_what_is_unlike_them_is_said_with_what_is_odd(training_distance: TrainingDistance) -> None:
    long = training_distance.of(figures_of(np.tile(clip(100), 12)))
    assert long.unlike
    assert long.why[0] == "seconds"
    faint = training_distance.of(figures_of(0.02 * clip(100)))
    assert faint.unlike
    assert "level_dbfs" in faint.why
    hiss = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    coloured = training_distance.of(figures_of(0.03 * hiss))
    assert coloured.unlike
    assert any(name.startswith("band_") or name in ("snr_db", "high_band_db") for name in coloured.why)
    assert 1 <= len(coloured.why) <= 3


def test_clips_that_are_all_alike_are_no_trap() -> None:
    same = figures_of(clip(1))
    found = read(describe([same] * LEAST_CLIPS))
    assert found is not None
    assert not found.of(same).unlike
    assert not found.of(same | {"level_dbfs": same["level_dbfs"] + 1.0}).unlike
    assert found.of(same | {"level_dbfs": same["level_dbfs"] - 20.0}).why == ("level_dbfs",)


def test_quantiles_stand_beside(statistics: dict[str, Any], training: list[dict[str, float]]) -> None:
    for name in ("seconds", "level_dbfs", "snr_db", "silent_share", "high_band_db", f"band_{band_centres()[0]}_hz"):
        assert statistics[name]["0.5"] == pytest.approx(np.median([figures[name] for figures in training]))


def test_few_clips_tell_nothing_and_neither_do_older_bundles(training: list[dict[str, float]]) -> None:
    few = describe(training[: LEAST_CLIPS - 1])
    assert "seconds" in few
    assert read(few) is None
    assert read({"seconds": {"0.5": 3.0}}) is None
    assert read(describe([])) is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("threshold", 0.0, "training_distance.threshold"),
        ("threshold", float("nan"), "training_distance.threshold"),
        ("figures", {}, "training_distance.figures"),
        ("figures", {"seconds": {"centre": 1.0, "deviation": 0.0}}, "training_distance.figures.seconds.deviation"),
        ("figures", {"shoe_size": {"centre": 1.0, "deviation": 1.0}}, "not measured: shoe_size"),
    ],
)
def test_broken_statistics_are_refused(statistics: dict[str, Any], field: str, value: Any, message: str) -> None:
    with pytest.raises(TrainingDistanceError, match=message):
        read({KEY: statistics[KEY] | {field: value}})

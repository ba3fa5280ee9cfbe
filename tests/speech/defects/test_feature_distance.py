"""How far a recording is from the training clips in its features: clips of voices that are drawn at random."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from speech.defects.feature_distance import ENCODER_FEATURES, FeatureDistance, describe, read
from speech.defects.training_distance import LEAST_CLIPS, TrainingDistanceError

WIDTH, VOICES = 24, 20
BETWEEN, WITHIN = 1.0, 2.0  # deviations of voices, and of what is said in a second


def voice(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, BETWEEN, WIDTH)


def recording(of: np.ndarray, seconds: float, seed: int) -> np.ndarray:
    """Mean features of somebody who speaks for so many seconds."""
    return of + np.random.default_rng(seed).normal(0.0, WITHIN / np.sqrt(seconds), WIDTH)


def training(clips: int = 10) -> tuple[np.ndarray, np.ndarray, list[str]]:
    seconds = np.random.default_rng(0).uniform(1.0, 6.0, VOICES * clips)
    speakers = [f"voice {index % VOICES}" for index in range(len(seconds))]
    features = [recording(voice(index % VOICES), each, 1000 + index) for index, each in enumerate(seconds)]
    return np.array(features), seconds, speakers


@pytest.fixture(scope="module")
def statistics() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(describe(*training())))
    return told


@pytest.fixture(scope="module")
def distance(statistics: dict[str, Any]) -> FeatureDistance:
    found = read(statistics, WIDTH)
    assert found is not None
    return found


@pytest.mark.parametrize("seconds", [1.0, 3.0, 30.0])
def test_new_voices_of_the_kind_are_like_them_however_long(distance: FeatureDistance, seconds: float) -> None:
    far = [distance.of(recording(voice(500 + seed), seconds, seed), seconds) for seed in range(100)]
    assert sum(one.unlike for one in far) <= 5
    assert all(one.why == () for one in far if not one.unlike)


@pytest.mark.parametrize("seconds", [1.0, 3.0, 30.0])
def test_a_voice_of_another_kind_is_unlike_them(distance: FeatureDistance, seconds: float) -> None:
    foreign = 5.0 * np.random.default_rng(7).choice([-1.0, 1.0], WIDTH)
    far = [distance.of(recording(voice(500 + seed) + foreign, seconds, seed), seconds) for seed in range(20)]
    assert all(one.unlike and one.why == (ENCODER_FEATURES,) for one in far)


def test_a_long_recording_is_told_from_them_sooner_than_a_short_one(distance: FeatureDistance) -> None:
    away = np.array(distance.centre) + 3.0
    assert distance.of(away, 30.0).score > 1.3 * distance.of(away, 1.0).score


def test_what_differs_in_no_direction_of_training_is_far(distance: FeatureDistance) -> None:
    """Beyond the principal directions, too."""
    outside = np.linalg.svd(np.array(distance.directions))[2][-1]
    assert distance.of(np.array(distance.centre) + 25.0 * outside, 3.0).unlike


def test_the_threshold_is_for_voices_that_were_not_heard() -> None:
    """A clip whose speaker is left out as well is farther than one among others of its speaker."""
    features, seconds, speakers = training()
    order = np.random.default_rng(1).permutation(len(features))
    voices = [int(speakers[index].split()[1]) for index in order]
    features = features[order] + 6.0 * np.array([voice(900 + each) for each in voices])
    known = read(describe(features, seconds[order], [str(each) for each in voices]), WIDTH)
    unknown = read(describe(features, seconds[order], [""] * len(voices)), WIDTH)
    assert known is not None
    assert unknown is not None
    assert known.threshold > 1.05 * unknown.threshold


@pytest.mark.parametrize("speakers", [["anna"] * 40, [""] * 40])
def test_one_speaker_or_none_known_is_no_hindrance(speakers: list[str]) -> None:
    features, seconds, _ = training()
    assert read(describe(features[:40], seconds[:40], speakers), WIDTH) is not None


def test_of_very_few_clips_nothing_is_told() -> None:
    features, seconds, speakers = training()
    few = LEAST_CLIPS - 1
    assert describe(features[:few], seconds[:few], speakers[:few]) == {}


def test_clips_that_are_all_alike_give_finite_distances() -> None:
    told = read(describe(np.ones((30, WIDTH)), np.full(30, 2.0), [""] * 30), WIDTH)
    assert told is not None
    assert not told.of(np.ones(WIDTH), 2.0).unlike
    assert told.of(np.zeros(WIDTH), 2.0).unlike


def test_a_channel_is_as_far_as_its_speech_in_the_middle(distance: FeatureDistance) -> None:
    out = distance.threshold + 1.0
    assert distance.of_windows([]) is None
    mostly_near = distance.of_windows([(0.5, 10.0), (out, 3.0), (out, 3.0)])
    mostly_far = distance.of_windows([(0.5, 5.0), (out, 3.0), (out, 3.0)])
    assert mostly_near is not None
    assert mostly_far is not None
    assert not mostly_near.unlike
    assert mostly_far.why == (ENCODER_FEATURES,)


def test_bundles_of_before_say_nothing() -> None:
    assert read({"seconds": {"0.5": 1.0}}, WIDTH) is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("threshold", 0.0, "feature_distance.threshold"),
        ("threshold", float("nan"), "feature_distance.threshold"),
        ("centre", [0.0], "differ in length"),
        ("variances", [], "one variance a direction"),
        ("rest", {"between": 0.0, "within": 1.0}, "feature_distance.rest.between"),
        ("more", 1, "feature_distance.more"),
    ],
)
def test_what_cannot_be_used_is_told_by_field(
    statistics: dict[str, Any], field: str, value: object, message: str
) -> None:
    broken = {"feature_distance": statistics["feature_distance"] | {field: value}}
    with pytest.raises(TrainingDistanceError, match=message):
        read(broken, WIDTH)


def test_features_of_another_model_are_refused(statistics: dict[str, Any]) -> None:
    with pytest.raises(TrainingDistanceError, match=r"24 features, the model has 16"):
        read(statistics, 16)

"""Clips that are longer than what the model learned from are judged in windows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from speech.audio.decode import SAMPLE_RATE
from speech.defects.calibration import Calibration
from speech.defects.diagnose import diagnose
from speech.defects.model import DefectModel
from speech.defects.windows import window_bounds
from speech.text.language import load_language
from tests.bundles import tiny_spec
from tests.recordings import hum

STEP = 320
CALIBRATION = Calibration(temperature=1.5, letters={"burr": ("р",)})


def model(window_seconds: float | None = 2.0, alphabet: str = "") -> DefectModel:
    torch.manual_seed(1)
    made = DefectModel(replace(tiny_spec(), window_seconds=window_seconds, alphabet=alphabet)).eval()
    for head in (made.marker_words, made.other_words):
        head.classes.weight.data *= 20.0
    return made


def speech_with_pauses(*seconds: float) -> np.ndarray:
    """Hums of so many seconds each, half a second of near silence between them."""
    quiet = 1e-4 * np.random.default_rng(0).standard_normal(SAMPLE_RATE // 2).astype(np.float32)
    parts: list[np.ndarray] = []
    for number, length in enumerate(seconds):
        parts += [hum(length, number), quiet]
    return np.concatenate(parts[:-1])


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.99, 2.0, 2.01, 2.5, 3.99, 4.1, 7.3, 60.0])
def test_windows_are_no_longer_than_asked_for_and_hold_everything(seconds: float) -> None:
    samples = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)
    bounds = window_bounds(samples, 2.0, STEP)
    assert (bounds[0], bounds[-1]) == (0, len(samples))
    lengths = np.diff(bounds)
    assert max(lengths) <= 2.0 * SAMPLE_RATE
    if len(lengths) > 1:
        assert min(lengths) >= 0.25 * 2.0 * SAMPLE_RATE
        assert all(bound % STEP == 0 for bound in bounds[:-1])
    else:
        assert seconds <= 2.0


def test_cuts_are_where_it_is_quiet() -> None:
    clip = speech_with_pauses(1.3, 1.2, 1.4)
    cuts = [bound / SAMPLE_RATE for bound in window_bounds(clip, 2.0, STEP)[1:-1]]
    pauses = [(1.3, 1.8), (3.0, 3.5)]
    assert len(cuts) == 2
    assert all(start <= cut <= end for cut, (start, end) in zip(cuts, pauses, strict=True))


def test_without_a_longest_window_a_clip_is_one() -> None:
    assert window_bounds(hum(9.0), None, STEP) == [0, 9 * SAMPLE_RATE]


def test_what_is_said_of_a_long_clip_is_the_mean_of_its_windows() -> None:
    judge = model()
    clip = speech_with_pauses(1.3, 1.2, 1.4)
    (whole,) = diagnose(judge, [clip], CALIBRATION)
    bounds = window_bounds(clip, 2.0, round(judge.frame_seconds * SAMPLE_RATE))
    parts = [diagnose(judge, [clip[a:b]], CALIBRATION)[0] for a, b in itertools.pairwise(bounds)]
    lengths = np.diff(bounds)
    assert whole.logits == pytest.approx(np.average([part.logits for part in parts], axis=0, weights=lengths))
    assert whole.probabilities == pytest.approx(CALIBRATION.apply(np.array(whole.logits)))
    assert whole.markers["р"] == pytest.approx(sum(part.markers["р"] for part in parts))
    assert whole.seconds == pytest.approx(len(clip) / SAMPLE_RATE)


def test_frames_lie_in_the_clips_time() -> None:
    judge = model(alphabet=load_language("ru").alphabet)
    clip = speech_with_pauses(1.3, 1.2, 1.4)
    (said,) = diagnose(judge, [clip])
    assert said.spelling is not None
    assert said.heard is not None
    assert said.frame_scores is not None
    assert len(said.spelling) == len(said.heard) == len(said.frame_scores)
    assert len(said.spelling) * said.frame_seconds == pytest.approx(said.seconds, abs=3 * said.frame_seconds)
    (other,) = diagnose(model(None, load_language("ru").alphabet), [clip])
    assert other.spelling is not None
    assert abs(len(said.spelling) - len(other.spelling)) <= 2
    assert all(0 <= place.start < place.end <= said.seconds + 0.05 for place in said.places)


def test_a_clip_does_not_depend_on_its_batch_nor_a_short_one_on_windows() -> None:
    judge = model()
    clips = [hum(1.1), speech_with_pauses(1.3, 1.2, 1.4), hum(2.0, 3)]
    together = diagnose(judge, clips, CALIBRATION)
    for clip, said in zip(clips, together, strict=True):
        alone = diagnose(judge, [clip], CALIBRATION)[0]
        assert said.logits == pytest.approx(alone.logits, abs=1e-4)
    unlimited = diagnose(model(None), [clips[0]], CALIBRATION)[0]
    assert together[0].logits == pytest.approx(unlimited.logits, abs=1e-4)


def test_length_is_no_evidence() -> None:
    """The same words said four times are judged as once."""
    judge, once = model(), hum(1.5)
    (one,) = diagnose(judge, [once])
    quiet = np.zeros(SAMPLE_RATE // 2, np.float32)
    (four,) = diagnose(judge, [np.concatenate([once, quiet] * 4)])
    (without,) = diagnose(model(None), [np.concatenate([once, quiet] * 4)])
    distance = [float(np.abs(np.subtract(one.probabilities, said.probabilities)).max()) for said in (four, without)]
    assert distance[0] < 0.15
    assert distance[0] < distance[1]

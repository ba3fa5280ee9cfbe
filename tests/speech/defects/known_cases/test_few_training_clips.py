"""Recordings of the training clips' own kind are like them, however few clips that kind is known from."""

from __future__ import annotations

import numpy as np
import pytest

from speech.audio.quality import band_centres
from speech.defects.training_distance import LEAST_CLIPS, describe, read

BANDS = [f"band_{hertz}_hz" for hertz in band_centres()]
KINDS = ("independent", "bands alike", "odd clips among them", "heavy tails")


def of_a_kind(kind: str, count: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """Figures of recordings drawn from one distribution."""
    bands, others = rng.standard_normal((count, len(BANDS))), rng.standard_normal((count, 5))
    if kind == "bands alike":
        bands = 0.7 * bands + 0.7 * rng.standard_normal((count, 1))
    elif kind == "odd clips among them":
        odd = np.where(rng.random((count, 1)) < 0.05, 3.0, 1.0)
        bands, others = odd * bands, odd * others
    elif kind == "heavy tails":
        scale = 1 / np.sqrt(rng.chisquare(6, (count, 1)) / 6)
        bands, others = scale * bands, scale * others
    return [
        {
            "level_dbfs": -25 + 4 * level,
            "seconds": 3 * 2 ** (0.5 * octaves),
            "snr_db": 30 + 5 * snr,
            "silent_share": float(np.clip(0.3 + 0.1 * silent, 0, 1)),
            "high_band_db": -30 + 5 * high,
            **dict(zip(BANDS, (-20 + 4 * band).tolist(), strict=True)),
        }
        for (level, octaves, snr, silent, high), band in zip(others.tolist(), bands, strict=True)
    ]


def share_unlike(kind: str, learned: int, new: int, trials: int) -> float:
    """Of new recordings, as a mean over training sets of `learned` clips."""
    shares = []
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        distance = read(describe(of_a_kind(kind, learned, rng)))
        assert distance is not None
        shares.append(np.mean([distance.of(figures).unlike for figures in of_a_kind(kind, new, rng)]))
    return float(np.mean(shares))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learned", [LEAST_CLIPS, 40])
def test_few_clips_call_few_of_their_own_kind_unlike(kind: str, learned: int) -> None:
    assert share_unlike(kind, learned, 100, 10) < 0.035


@pytest.mark.parametrize("kind", KINDS)
def test_many_clips_call_one_in_a_hundred_unlike(kind: str) -> None:
    assert 0.001 < share_unlike(kind, 250, 400, 4) < 0.02


@pytest.mark.parametrize("learned", [LEAST_CLIPS, 40, 120])
def test_another_level_length_and_line_is_still_unlike(learned: int) -> None:
    rng = np.random.default_rng(1)
    distance = read(describe(of_a_kind("independent", learned, rng)))
    assert distance is not None
    usual = of_a_kind("independent", 1, rng)[0]
    line = dict.fromkeys(BANDS[-8:], -60.0) | {"high_band_db": -70.0}
    for change in ({"level_dbfs": -70.0}, {"seconds": 60.0}, {"snr_db": -10.0}, line):
        assert distance.of(usual | change).unlike

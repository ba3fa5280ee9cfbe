"""A precision that was held against fp32 on few clips may not serve, however well it answered them."""

from __future__ import annotations

import numpy as np
import pytest

from speech.defects.agreement import LEAST_CLIPS, agree


def answers(clips: int, classes: int, off: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """fp32's probabilities of so many clips, and others as far off as `off`."""
    reference = np.random.default_rng(clips).dirichlet(np.full(classes, 0.2), clips)
    other = reference.copy()
    other[:, 0] = np.clip(other[:, 0] + np.where(other[:, 0] > 0.5, -off, off), 0, 1)
    return reference, other


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("clips", [0, 1, 2, LEAST_CLIPS - 1])
def test_few_clips_that_agree_qualify_nothing(clips: int, exclusive: bool) -> None:
    found = agree(*answers(clips, 4), exclusive=exclusive)
    assert (found.clips, found.difference, found.flipped) == (clips, 0.0, 0)
    assert not found.holds
    assert found.outcome.startswith(f"may not serve ({clips} clips asked, at least {LEAST_CLIPS} are needed; ")


@pytest.mark.parametrize("clips", [LEAST_CLIPS, 57, 240])
def test_enough_clips_that_agree_do(clips: int) -> None:
    found = agree(*answers(clips, 4, 0.001))
    assert found.holds
    assert found.outcome == f"may serve ({clips} clips asked; differs by up to 0.0010, flips 0)"


def test_one_clip_in_ten_that_differs_seldom_stays_unseen() -> None:
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(1000):
        reference, other = answers(LEAST_CLIPS, 2)
        other[rng.random(LEAST_CLIPS) < 0.1] = 0.5
        passed += agree(reference, other).holds
    assert passed < 60

"""The factor that lets predicted counts add up, and leaves every verdict as it was."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.defects.count_scale import scale_counts
from pipeline.training.examples import Example
from speech.defects.diagnose import diagnose
from tests.bundles import tiny_model
from tests.recordings import hum


def example(seed: int, counts: tuple[int, ...] | None) -> Example:
    return Example(f"clip{seed}", lambda: hum(1.0, seed), 1.0, 0, (), counts)


def test_totals_agree_and_logits_stay() -> None:
    model = tiny_model()
    examples = [example(0, (2, 1)), example(1, (4, 3)), example(2, None)]
    before = [diagnose(model, [e.load()])[0] for e in examples]
    scale_counts(model, examples)
    after = [diagnose(model, [e.load()])[0] for e in examples]
    for letter, total in (("р", 6.0), ("г", 4.0)):
        assert sum(answer.markers[letter] for answer in after[:2]) == pytest.approx(total, rel=1e-4)
    assert np.allclose([a.logits for a in before], [a.logits for a in after])


def test_without_known_counts_nothing_is_scaled() -> None:
    model = tiny_model()
    scale_counts(model, [example(0, None)])
    assert model.count_scale.tolist() == [1.0, 1.0]

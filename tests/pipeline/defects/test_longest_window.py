"""How long a model judges at once follows from the clips that it learns from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.defects.finetuning import longest_window
from tests import clip_sets
from tests.bundles import CLASSES


def test_it_is_as_long_as_nearly_all_training_clips(tmp_path: Path) -> None:
    clips = clip_sets.hums(tmp_path, {"train": 200, "test": 4}, CLASSES)
    lengths = [3.0 + 0.01 * number for number in range(199)] + [29.0, 60.0, 60.0, 60.0, 60.0]  # the last four judge
    records = tuple(replace(record, seconds=length) for record, length in zip(clips.records, lengths, strict=True))
    found = longest_window(replace(clips, records=records))
    assert found == pytest.approx(4.97, abs=0.03)


def test_very_short_clips_and_none(tmp_path: Path) -> None:
    clips = clip_sets.hums(tmp_path, {"train": 8}, CLASSES)
    assert longest_window(clips) == 2.0
    assert longest_window(replace(clips, records=())) is None

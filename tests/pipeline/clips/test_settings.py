"""Settings of the clips stage are refused by name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.clips.settings import ClipSettings


def test_shares_sum_to_one() -> None:
    assert sum(ClipSettings().shares.values()) == pytest.approx(1)
    everything = ClipSettings().model_copy(update={"validation_share": 0, "test_share": 1})
    assert everything.shares == {"train": 0, "validation": 0, "test": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_seconds", 0.0),
        ("min_seconds", 40.0),
        ("max_seconds", 7200.0),
        ("silence_dbfs", 3.0),
        ("decoder_timeout_seconds", 0.0),
        ("max_bad_share", 1.5),
        ("validation_share", -0.1),
        ("test_share", 1.1),
        ("validation_share", 0.9),
        ("min_clips_per_class", -1),
        ("min_speakers_per_class", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        ClipSettings(**{field: value})  # type: ignore[arg-type]

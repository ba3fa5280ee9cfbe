"""Limits that make no sense are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.archive.options import FetchOptions
from pipeline.archive.unpacking import UnpackLimits


@pytest.mark.parametrize(
    "wrong", [{"timeout_seconds": 0}, {"retries": -1}, {"retry_wait_seconds": -1}, {"max_download_bytes": 0}]
)
def test_fetch_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FetchOptions(**wrong)


@pytest.mark.parametrize("name", ["max_files", "max_bytes", "max_file_bytes", "max_ratio"])
def test_unpack_limits(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        UnpackLimits(**{name: 0})

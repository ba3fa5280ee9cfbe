"""Limits that make no sense are refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.archive.settings import ArchiveSettings
from pipeline.archive.unpacking import UnpackLimits


@pytest.mark.parametrize("wrong", [{"timeout_seconds": 0}, {"retries": -1}, {"max_download_gib": 0}])
def test_limits_of_a_download(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ArchiveSettings(sources=["a.zip"], **wrong)


@pytest.mark.parametrize("name", ["max_files", "max_bytes", "max_file_bytes", "max_ratio"])
def test_unpack_limits(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        UnpackLimits(**{name: 0})

"""Metrics as a run has recorded them with its assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RecordedMetricError(ValueError):
    """A run did not record a metric that the demonstration needs; the message names asset and entry."""


def number(metadata: Mapping[str, Any], name: str, asset: str) -> float:
    """A number that a run has recorded with an asset. Raises `RecordedMetricError`."""
    value = metadata.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordedMetricError(f"the run recorded no number {name} with the asset {asset} (it says {value!r})")
    return float(value)


def reason(metadata: Mapping[str, Any], name: str) -> str:
    """Why a run could not measure something, as it has recorded it; empty where it could."""
    value = metadata.get(name)
    return value if isinstance(value, str) else ""

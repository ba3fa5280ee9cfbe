"""How well a text serves for practising given sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from web.twisters.collection import SHORT

SHARE = 0.08
"""Least share of wanted sounds among the letters: one in every second or third word."""


def is_rich(counts: Mapping[str, int], letters: int, wanted: Sequence[str]) -> bool:
    """Whether each wanted sound is there, of several each twice, and all together often enough: three times, in every
    second or third word. A short text may have one of them once and a single one twice."""
    short = letters <= SHORT
    found = [counts.get(sound, 0) for sound in wanted]
    least = 1 if short or len(wanted) < 2 else 2
    return not wanted or (
        min(found) >= least and sum(found) >= max(2 if short else 3, len(wanted) + 1, SHARE * letters)
    )


def has_all(counts: Mapping[str, int], letters: int, wanted: Sequence[str]) -> bool:
    """Whether each wanted sound is there at all; told like `is_rich`."""
    return all(counts.get(sound) for sound in wanted)


def richness(counts: Mapping[str, int], letters: int, wanted: Sequence[str]) -> float:
    """Share of the wanted sounds among the letters, raised where they are balanced; 0 to 2."""
    found = [counts.get(sound, 0) for sound in wanted]
    return (sum(found) + len(found) * min(found, default=0)) / letters

"""How well a text serves for practising given sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from web.twisters.collection import SHORT

SHARE = 0.08
"""Least share of wanted sounds among the letters: one in every second or third word."""


def is_rich(counts: Mapping[str, int], letters: int, wanted: Sequence[str]) -> bool:
    """Whether each wanted sound is there, and all together often enough: three times, in a short text twice, and in
    every second or third word."""
    found = [counts.get(sound, 0) for sound in wanted]
    return not wanted or (min(found) > 0 and sum(found) >= max(2 if letters <= SHORT else 3, SHARE * letters))


def richness(counts: Mapping[str, int], letters: int, wanted: Sequence[str]) -> float:
    """Share of the wanted sounds among the letters, raised where they are balanced; 0 to 2."""
    found = [counts.get(sound, 0) for sound in wanted]
    return (sum(found) + len(found) * min(found, default=0)) / letters

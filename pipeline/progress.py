"""How long work reports to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str], None]
"""Takes a line for the run's log."""

Metrics = Callable[[dict[str, float], int], None]
"""Takes named figures and the step they belong to."""


def seconds_text(seconds: float) -> str:
    """A duration for people: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

"""Progress lines."""

from __future__ import annotations

import time

import pytest

from pipeline.archive.meter import Meter


def test_lines_are_told_seldom_and_say_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    lines: list[str] = []
    meter = Meter("a.zip", 400_000_000, lines.append, done=100_000_000)
    for second in range(1, 10):
        now = 100.0 + second
        meter.reached(100_000_000 + second * 2_000_000)
    meter.finish()
    assert lines == [
        "a.zip: 106.0 MB of 400.0 MB, 2.00 MB/s, 2 min 27 s left",
        "a.zip: 112.0 MB of 400.0 MB, 2.00 MB/s, 2 min 24 s left",
        "a.zip: 118.0 MB of 400.0 MB, 2.00 MB/s, 2 min 21 s left",
        "a.zip: 118.0 MB in 9.0 s",
    ]


def test_without_a_total(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    lines: list[str] = []
    meter = Meter("a.zip", None, lines.append)
    now = 4.0
    meter.reached(2_000_000)
    now = 3600.0
    meter.reached(3_600_000, total=7_200_000)
    now = 7200.0
    meter.reached(3_600_000, total=14_400_000)
    assert lines == [
        "a.zip: 2.0 MB, 0.50 MB/s",
        "a.zip: 3.6 MB of 7.2 MB, 0.00 MB/s, 1 h 0 min left",
        "a.zip: 3.6 MB of 14.4 MB, 0.00 MB/s, 6 h 0 min left",
    ]

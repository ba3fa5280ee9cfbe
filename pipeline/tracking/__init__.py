"""Tracks a run in Comet: parameters, metrics by step, confusion matrices, pictures. Never in the way of the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.tracking.comet import CometTracker
from pipeline.tracking.settings import Tracking, TrackingSettings
from pipeline.tracking.tracker import Tracker

__all__ = ["Tracker", "Tracking", "TrackingSettings", "start"]


def start(settings: TrackingSettings, run_id: str, stage: str, folder: Path, log: Callable[[str], None]) -> Tracker:
    """Begin to track one stage of a run; returns at once.

    All stages with the same `run_id`, a UUID, make one Comet experiment. Offline archives are written to
    `folder/<stage>/` and stay there. `log` is told, once each, the experiment's link and whatever goes wrong.
    """
    if settings.mode is Tracking.disabled:
        return Tracker()
    try:
        return CometTracker(settings, run_id, stage, folder, log)
    except OSError as error:
        log(f"This stage is not tracked: {error}")
        return Tracker()

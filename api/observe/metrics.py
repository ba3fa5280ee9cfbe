"""What Prometheus reads at /metrics, summed over the workers.

`prometheus_client` decides when it is first imported whether it counts for several processes, so it is imported
where a worker has started and not at module scope.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.observe.loaded import Loaded
from api.observe.metric_definitions import OTHER, MetricDefinitions
from api.observe.requests import Stage, current, method_of, route_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_MOST_BUNDLES = 50  # named in labels by one worker; a service that runs for a year must not grow with each training


class Metrics(MetricDefinitions):
    """One worker's metrics. Routes, statuses, bundles and classes are few; no label ever holds what a client sent."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry)
        self._current: dict[str, tuple[str, ...]] = {}  # labels of the bundle in service, by recipe
        self._bundles: set[str] = set()
        self._drifting: set[str] = set()

    def request(self, route: str, method: str, status: int, seconds: float, stages: Sequence[Stage] = ()) -> None:
        """Count an answered request; `route` is the route's template."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        for stage in stages:
            self._stages.labels(stage.name).observe(stage.seconds)

    def in_progress(self) -> AbstractContextManager[object]:
        """Count a prediction as in progress while the block runs."""
        return self._in_progress.track_inprogress()

    def queued(self, length: int) -> None:
        """Say how many decoded recordings wait for the model."""
        self._queue.set(length)

    def computed(self, size: int) -> None:
        """Count recordings that the model computes at once."""
        self._batches.observe(size)

    def diagnosed(self, bundle: str, seconds: float, named: Sequence[str], verdicts: Mapping[str, str]) -> None:
        """Count a diagnosis of so many seconds of sound: the classes it names and its verdict on each defect."""
        bundle = self._bounded(bundle)
        self._sound.inc(seconds)
        for name in named:
            self._diagnoses.labels(bundle, name).inc()
        for name, verdict in verdicts.items():
            self._verdicts.labels(bundle, name, verdict).inc()

    def drifted(self, answers: int, psi: Mapping[str, float], by_chance: Mapping[str, float]) -> None:
        """Say how far each figure has drifted in this worker's window of `answers`, and how far it does by chance."""
        self._window.set(answers)
        for name in self._drifting - set(psi):
            self._drift.labels(name).set(0)
            self._drift_by_chance.labels(name).set(0)
        for name, value in psi.items():
            self._drift.labels(name).set(value)
            self._drift_by_chance.labels(name).set(by_chance[name])
        self._drifting |= set(psi)

    def transcribed(self, bundle: str, seconds: float, words: int) -> None:
        """Count a transcript of so many seconds of sound and so many words."""
        bundle = self._bounded(bundle)
        self._transcribed.inc(seconds)
        self._transcripts.labels(bundle).inc()
        self._words.labels(bundle).inc(words)

    def serving(self, bundle: Loaded, seconds: float) -> None:
        """Count a swap that took so many seconds to load, and say which bundle of its recipe this worker serves from
        now on."""
        name, config = self._bounded(bundle.id), bundle.config
        self._swaps.labels(config.recipe).inc()
        self._loads.labels(config.recipe).observe(seconds)
        if before := self._current.get(config.recipe):
            self._bundle.labels(before[0]).set(0)
            self._info.labels(*before).set(0)
        known = (config.recipe, config.language, config.created) if name != OTHER else (OTHER,) * 3
        self._current[config.recipe] = current = (name, *known)
        self._bundle.labels(name).set(1)
        self._info.labels(*current).set(1)

    def refused(self, reason: str, recipe: str) -> None:
        """Count a bundle or pointer that could not be loaded; `reason`: one of `metric_definitions.REASONS`."""
        self._refused.labels(recipe, reason).inc()

    def _bounded(self, bundle: str) -> str:
        if bundle not in self._bundles and len(self._bundles) >= _MOST_BUNDLES:
            return OTHER
        self._bundles.add(bundle)
        return bundle


class MetricsMiddleware:
    """ASGI middleware that counts and times the requests of an application whose `state.engine` has metrics."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        engine = scope["app"].state.engine if scope["type"] == "http" else None
        if engine is None:
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            record = current()
            stages = record.stages if record else ()
            seconds = time.perf_counter() - start
            engine.metrics.request(route_of(scope), method_of(scope), status, seconds, stages)


def exposition() -> tuple[bytes, str]:
    """All workers' metrics as text, and its media type."""
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    _forget_dead_workers(Path(folder))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _forget_dead_workers(folder: Path) -> None:
    """Drop the gauges of workers that were killed and so could not take their own back."""
    for path in folder.glob("gauge_live*_*.db"):
        if not _lives(int(path.stem.rpartition("_")[2])):
            path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

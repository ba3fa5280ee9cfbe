"""What Prometheus reads at /metrics, summed over the workers.

`prometheus_client` decides when it is first imported whether it counts for several processes, so it is imported
where a worker has started and not at module scope.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

# Seconds. From an answer refused at once to the longest that a request may take.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """One worker's figures. Routes and statuses are few; no label ever holds what a client sent."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        from prometheus_client import REGISTRY, Counter, Gauge, Histogram

        registry = registry or REGISTRY
        self._requests = Counter(
            "vnyatno_requests", "Requests answered", ["route", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "vnyatno_request_seconds",
            "From a request's start to its answer",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._swaps = Counter("vnyatno_bundle_swaps", "Bundles put into service in a worker", registry=registry)
        self._refused = Counter("vnyatno_bundles_refused", "Attempts to load that failed", registry=registry)
        self._bundle = Gauge(
            "vnyatno_bundle_workers",
            "Workers that serve the bundle",
            ["bundle"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._in_progress = Gauge(
            "vnyatno_predictions_in_progress",
            "Recordings being decoded, waiting or being computed",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._current: str | None = None

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is the route's template."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def in_progress(self) -> AbstractContextManager[object]:
        """Count a prediction as in progress while the block runs."""
        return self._in_progress.track_inprogress()

    def serving(self, bundle: str) -> None:
        """Count a swap, and say which bundle this worker serves from now on."""
        self._swaps.inc()
        if self._current is not None:
            self._bundle.labels(self._current).set(0)
        self._bundle.labels(bundle).set(1)
        self._current = bundle

    def refused(self) -> None:
        """Count a bundle or pointer that could not be loaded."""
        self._refused.inc()


class Measured:
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
            route = getattr(scope.get("route"), "path", "unmatched")
            engine.metrics.request(route, scope["method"], status, time.perf_counter() - start)


def exposition() -> tuple[bytes, str]:
    """All workers' figures as text, and its media type."""
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
    """Drop the gauges of workers that were killed and so could not take their own figures back."""
    for path in folder.glob("gauge_live*_*.db"):
        if not _lives(int(path.stem.rpartition("_")[2])):
            path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

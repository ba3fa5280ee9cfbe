"""The metrics that Prometheus reads: their names, labels and buckets. `api.observe.metrics` counts in them.

`prometheus_client` decides when it is first imported whether it counts for several processes, so it is imported
where a worker has started and not at module scope. Gauges say how those of several workers come together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from speech.bundles.defects import FAULTS
from speech.home import Recipe

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

# Seconds. From an answer refused at once to the longest that a request may take.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0)
_LOAD_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)  # seconds; a large bundle on a slow disk
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # recordings; the last is the largest that the settings allow
OTHER = "other"
# What a refusal is counted as: a bundle's kinds of fault, and those that the loader meets.
REASONS = (*FAULTS, "pointer", "numbers", "disk", "memory", OTHER)


class MetricDefinitions:
    """One worker's metrics, at 0."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        from prometheus_client import REGISTRY

        from api.observe import metric_files

        metric_files.install()
        self.registry = registry or REGISTRY
        self._of_requests()
        self._of_load()
        self._of_answers()
        self._of_bundles()

    def _of_requests(self) -> None:
        from prometheus_client import Counter, Histogram

        labels = ["route", "method", "status"]
        self._requests = Counter("vnyatno_requests", "Requests answered", labels, registry=self.registry)
        self._seconds = Histogram(
            "vnyatno_request_seconds",
            "From a request's start to its answer",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "vnyatno_stage_seconds",
            "Of a request: decode (and wait for a decoder), wait (for the model), model (its whole batch), words, "
            "text (of a transcript)",
            ["stage"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def _of_load(self) -> None:
        from prometheus_client import Gauge, Histogram

        self._in_progress = Gauge(
            "vnyatno_predictions_in_progress",
            "Recordings being decoded, waiting or being computed",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._queue = Gauge(
            "vnyatno_queue_length",
            "Decoded recordings that wait for the model",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._batches = Histogram(
            "vnyatno_batch_size", "Recordings computed at once", buckets=_BATCH_BUCKETS, registry=self.registry
        )

    def _of_answers(self) -> None:
        from prometheus_client import Counter, Gauge

        classes, verdicts = ["bundle", "class"], ["bundle", "class", "verdict"]
        self._sound = Counter("vnyatno_sound_seconds", "Sound diagnosed, in seconds", registry=self.registry)
        what = "Sound transcribed, in seconds"
        self._transcribed = Counter("vnyatno_transcribed_seconds", what, registry=self.registry)
        self._transcripts = Counter("vnyatno_transcripts", "Transcripts given", ["bundle"], registry=self.registry)
        what = "Words of transcripts"
        self._words = Counter("vnyatno_transcribed_words", what, ["bundle"], registry=self.registry)
        self._diagnoses = Counter("vnyatno_diagnoses", "Diagnoses that name a class", classes, registry=self.registry)
        self._verdicts = Counter("vnyatno_verdicts", "Verdicts given", verdicts, registry=self.registry)
        self._drift = Gauge(
            "vnyatno_drift_psi",
            "Population stability index of a figure against the bundle's reference, in the worker where it is largest; "
            "0 until a window holds enough diagnoses",
            ["figure"],
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self._drift_by_chance = Gauge(
            "vnyatno_drift_psi_by_chance",
            "What that index stays below in 99 of 100 windows of as many diagnoses, though nothing has changed",
            ["figure"],
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self._window = Gauge(
            "vnyatno_drift_window_diagnoses",
            "Diagnoses in the windows that drift is told from",
            multiprocess_mode="livesum",
            registry=self.registry,
        )

    def _of_bundles(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        what = "Bundles put into service in a worker"
        self._swaps = Counter("vnyatno_bundle_swaps", what, ["recipe"], registry=self.registry)
        self._loads = Histogram(
            "vnyatno_bundle_load_seconds",
            "Verifying, loading and trying out a bundle that was put into service",
            ["recipe"],
            buckets=_LOAD_BUCKETS,
            registry=self.registry,
        )
        what = "Attempts to load that failed"
        self._refused = Counter("vnyatno_bundles_refused", what, ["recipe", "reason"], registry=self.registry)
        for recipe in Recipe:  # from the start, or Prometheus would not see the first one as an increase
            self._swaps.labels(recipe)
            for reason in REASONS:
                self._refused.labels(recipe, reason)
        self._info = Gauge(
            "vnyatno_bundle_info",
            "1 for a bundle in service in any worker",
            ["bundle", "recipe", "language", "created"],
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self._bundle = Gauge(
            "vnyatno_bundle_workers",
            "Workers that serve the bundle",
            ["bundle"],
            multiprocess_mode="livesum",
            registry=self.registry,
        )

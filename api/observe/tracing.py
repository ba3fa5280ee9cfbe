"""Requests as traces for an OpenTelemetry collector: a span per request, and one in it per stage.

Off unless `tracing` is set or the environment names a collector (OTEL_EXPORTER_OTLP_ENDPOINT); the libraries are
imported only then. The other variables of OpenTelemetry count too: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and so on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from api.observe.requests import RequestRecord
from api.settings import ServiceSettings
from speech.process import background

FLUSH_SECONDS = 2.0  # the last spans may take when the service ends; a collector that is gone must not hold it up
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted(settings: ServiceSettings, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether traces are to be sent."""
    return settings.tracing or any(environment.get(name) for name in _ENDPOINTS)


class Tracing:
    """Sends traces in batches from a thread; never in the way of an answer."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        name = os.environ.get("OTEL_SERVICE_NAME") or "vnyatno"
        # Not the process's own provider: BentoML has one, which samples nothing.
        self._provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("vnyatno.service")
        self._propagator = TraceContextTextMapPropagator()

    def send(self, record: RequestRecord, method: str, route: str, headers: Mapping[bytes, bytes]) -> None:
        """Send a request that has ended; its trace goes on that of its client (`traceparent`), where it names one."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        attributes: dict[str, str | int | float | None] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": record.status,
            "http.request.body.size": record.bytes_received,
            "vnyatno.request_id": record.id,
            "vnyatno.bundle": record.bundle,
            "vnyatno.sound_seconds": record.sound_seconds,
        }
        span = self._tracer.start_span(
            f"{method} {route}",
            self._propagator.extract(carrier, Context()),
            SpanKind.SERVER,
            {name: value for name, value in attributes.items() if value is not None},
            start_time=record.began_ns,
        )
        inside = set_span_in_context(span, Context())
        for stage in record.stages:
            child = self._tracer.start_span(stage.name, inside, start_time=_nanoseconds(record, stage.start))
            child.end(_nanoseconds(record, stage.end))
        if record.status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(_nanoseconds(record, time.perf_counter()))

    def close(self) -> None:
        """Send what is left."""
        last = background.thread("traces", self._provider.shutdown)
        last.start()
        if not background.ended([last], FLUSH_SECONDS):
            self._exporter.shutdown()  # no further attempts


def _nanoseconds(record: RequestRecord, moment: float) -> int:
    """A moment of `time.perf_counter` in nanoseconds since 1970."""
    return record.began_ns + round((moment - record.began) * 1e9)

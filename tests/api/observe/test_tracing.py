"""Traces, against a collector that takes the protocol's own messages."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from api.observe.tracing import wanted
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.collector import Collector, attributes, collecting
from tests.api.conftest import SETTINGS, ended, started
from tests.bundles import write_tiny_bundle
from tests.recordings import encoded, hum

ROOT = Path(__file__).parents[3]
SPEECH = encoded(hum(1.5), "WAV")
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield collector


@pytest.fixture
def traced(data_home: Home, collector: Collector) -> Iterator[TestClient]:
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    app = started(data_home)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    ended(app)


def test_a_request_is_a_span_with_one_per_stage(traced: TestClient, collector: Collector) -> None:
    headers = {"X-Request-ID": "req-1", "traceparent": CALLER}
    assert traced.post("/api/predict", files={"file": ("a.wav", SPEECH)}, headers=headers).status_code == 200
    root, children = collector.trace_of("req-1")
    assert {path for path, _ in collector.requests} == {"/v1/traces"}
    assert root.name == "POST /api/predict"
    assert root.kind == Span.SPAN_KIND_SERVER
    assert root.trace_id.hex() == CALLER.split("-")[1]
    assert root.parent_span_id.hex() == CALLER.split("-")[2]
    known = attributes(root)
    assert (known["http.route"], known["http.response.status_code"]) == ("/api/predict", 200)
    assert (known["vnyatno.bundle"], known["vnyatno.sound_seconds"]) == ("tiny-1", 1.5)
    assert set(children) == {"decode", "wait", "model"}
    moments = [root.start_time_unix_nano]
    for name in ("decode", "wait", "model"):
        moments += [children[name].start_time_unix_nano, children[name].end_time_unix_nano]
    moments.append(root.end_time_unix_nano)
    assert moments == sorted(moments)
    (resource,) = {
        item.value.string_value
        for _, request in collector.requests
        for item in request.resource_spans[0].resource.attributes
        if item.key == "service.name"
    }
    assert resource == "vnyatno"


def test_failures_of_the_service_are_marked_and_those_of_clients_are_not(
    traced: TestClient, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a fault of our own")

    traced.post("/api/predict", files={"file": ("a.wav", b"no sound")}, headers={"X-Request-ID": "req-2"})
    monkeypatch.setattr(traced.app.state.engine._model_queue, "submit", fail)  # type: ignore[attr-defined]
    traced.post("/api/predict", files={"file": ("a.wav", SPEECH)}, headers={"X-Request-ID": "req-3"})
    client_fault, children = collector.trace_of("req-2")
    assert client_fault.status.code == Status.STATUS_CODE_UNSET
    assert set(children) == {"decode"}
    assert collector.trace_of("req-3")[0].status.code == Status.STATUS_CODE_ERROR


def test_a_collector_that_never_answers_holds_nothing_up(data_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        app = started(data_home)
        with TestClient(app) as client:
            assert client.post("/api/predict", files={"file": ("a.wav", SPEECH)}).status_code == 200
        closing = threading.Thread(target=app.state.engine.close)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()


def test_traces_are_wanted_when_they_are_asked_for() -> None:
    assert not wanted(SETTINGS, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
    assert wanted(SETTINGS, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    assert wanted(SETTINGS, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"})
    assert wanted(SETTINGS.model_copy(update={"tracing": True}), {})


@pytest.mark.parametrize(
    ("tracing", "imported"), [(False, []), (True, ["opentelemetry.exporter", "opentelemetry.sdk"])]
)
def test_no_library_is_imported_while_tracing_is_off(tmp_path: Path, tracing: bool, imported: list[str]) -> None:
    script = f"""
import json, sys
from api.observe.metrics import Metrics
from api.settings import ServiceSettings
from api.observe.telemetry import Telemetry
from speech.home import home
Telemetry(ServiceSettings(tracing={tracing}), home(), Metrics())
print(json.dumps(sorted({{"opentelemetry.exporter", "opentelemetry.sdk"}} & set(sys.modules))))
"""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {"VNYATNO_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(result.stdout.splitlines()[-1]) == imported

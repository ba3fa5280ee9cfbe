"""The real service with two workers, watched from outside: its log, its figures, its traces, its counts of drift."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from api.settings import PREFIX
from speech.serving.drift import read_tally, tally_files
from tests.api.collector import Collector, collecting
from tests.api.test_service_process import SPEECH, Service, running, until
from tests.bundles import write_tiny_bundle

ASKED = 12


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"{PREFIX}LOG_FORMAT", "json")
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        with running(tmp_path_factory.mktemp("watched"), workers=2) as service:
            yield service


def lines(service: Service) -> list[dict[str, Any]]:
    text = (service.home.root.parent / "service.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


def labelled(service: Service, name: str) -> dict[str, float]:
    found = (line.rpartition(" ") for line in service.get("/metrics").text.splitlines() if line.startswith(name + "{"))
    return {labels.removeprefix(name): float(number) for labels, _, number in found}


def test_being_unready_says_which_bundle_was_refused_and_why(service: Service) -> None:
    service.home.serving.mkdir(parents=True, exist_ok=True)
    service.point("current: nowhere-1\n")
    until(lambda: service.figure("vnyatno_bundles_refused_total") >= 2, "the refusal")
    ready = service.get("/readyz")
    assert ready.status_code == 503
    assert "nowhere-1 was refused: there is no bundle at" in ready.text
    assert "there is no bundle at" in service.get("/api/health").json()["refused"]["reason"]
    refused = labelled(service, "vnyatno_bundles_refused_total")
    assert [reason for reason, number in refused.items() if number] == ['{reason="missing",recipe="defects"}']


def test_what_workers_count_adds_up(service: Service) -> None:
    write_tiny_bundle(service.home, "tiny-1")
    service.publish("tiny-1")
    for number in range(ASKED):
        headers = {"X-Request-ID": f"asked-{number}"}
        response = requests.post(service.base + "/api/predict", files={"file": SPEECH}, headers=headers, timeout=60)
        assert (response.status_code, response.headers["X-Request-ID"]) == (200, f"asked-{number}")
    refused = service.predict(b"no sound")
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    assert service.figure("vnyatno_sound_seconds_total") == pytest.approx(2.0 * ASKED, abs=0.1 * ASKED)
    assert sum(labelled(service, "vnyatno_diagnoses_total").values()) == ASKED
    assert labelled(service, "vnyatno_stage_seconds_count") == {
        '{stage="decode"}': ASKED + 1, '{stage="wait"}': ASKED, '{stage="model"}': ASKED,
    }  # fmt: skip
    assert service.figure("vnyatno_batch_size_count") == ASKED
    assert service.figure("vnyatno_bundle_load_seconds_count") == 2
    assert service.figure("vnyatno_bundle_info") == 1


def test_each_request_is_a_line_of_json_and_a_trace(service: Service, collector: Collector) -> None:
    logged = {line["request_id"]: line for line in lines(service) if line["logger"] == "vnyatno.access"}
    line = logged[f"asked-{ASKED - 1}"]
    assert (line["method"], line["route"], line["status"], line["bundle"]) == ("POST", "/api/predict", 200, "tiny-1")
    assert line["sound_seconds"] == pytest.approx(2.0, abs=0.1)
    root, children = collector.trace_of(f"asked-{ASKED - 1}")
    assert root.name == "POST /api/predict"
    assert set(children) == {"decode", "wait", "model"}
    assert not [line for line in lines(service) if line["logger"].startswith("bentoml.access")]


def test_at_its_end_each_worker_has_written_what_it_counted(service: Service) -> None:
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) == 0
    tallies = [read_tally(path) for path in tally_files(service.home)]
    assert {tally.bundle for tally in tallies} == {"tiny-1"}
    assert sum(tally.answers for tally in tallies) == ASKED
    assert all(line["level"] in {"INFO", "WARNING", "ERROR"} for line in lines(service))

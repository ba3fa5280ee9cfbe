"""The real service asked by schemathesis whatever its OpenAPI document allows, and more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.schema import examine
from speech.serving.pointer import publish
from tests.api.test_service_process import Service, running, until
from tests.bundles import write_tiny_bundle
from tests.recognisers import tiny_recogniser, write_tiny_recogniser

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("fuzzed"), workers=1) as service:
        for name in ("tiny-1", "tiny-2"):  # two, so that rollbacks succeed
            write_tiny_bundle(service.home, name)
            publish(service.home, name)
        for seed, name in enumerate(("asr-1", "asr-2")):
            write_tiny_recogniser(service.home, name, tiny_recogniser(tmp_path_factory.mktemp(name), seed))
            publish(service.home, name)
        until(lambda: service.get("/readyz").ok, "readiness")
        yield service


@pytest.mark.parametrize("examples", [20, pytest.param(1_000, marks=[pytest.mark.system, pytest.mark.timeout(3600)])])
def test_every_answer_is_as_the_document_has_it(service: Service, examples: int, tmp_path: Path) -> None:
    worker = service.children()[0].pid
    asked = examine(service.base, examples, seed=1, folder=tmp_path)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    figures = service.get("/metrics").text.splitlines()
    answers = {line.split(" ")[0]: float(line.split(" ")[1]) for line in figures if "vnyatno_requests_total{" in line}
    assert not [answer for answer in answers if 'status="5' in answer]
    assert answers['vnyatno_requests_total{method="POST",route="/api/predict",status="200"}'] >= examples / 10
    for route in ("/api/transcribe", "/v1/audio/transcriptions"):
        assert answers.get(f'vnyatno_requests_total{{method="POST",route="{route}",status="200"}}'), answers
    assert service.children()[0].pid == worker
    assert "Traceback" not in (service.home.root.parent / "service.log").read_text()

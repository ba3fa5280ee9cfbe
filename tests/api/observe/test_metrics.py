"""The metrics of one worker, and that several workers' add up."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from api.observe.metric_definitions import OTHER, REASONS
from api.observe.metrics import Metrics
from api.worker.model_queue import ModelQueue
from speech.home import Home, Recipe
from speech.serving.pointer import publish
from tests.api.conftest import ended, started
from tests.bundles import CLASSES, write_tiny_bundle
from tests.recordings import encoded, hum

ROOT = Path(__file__).parents[3]
SPEECH = encoded(hum(1.5), "WAV")


def samples(registry: CollectorRegistry, name: str) -> list[Sample]:
    return [sample for metric in registry.collect() for sample in metric.samples if sample.name == name]


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def registry_of(app: FastAPI) -> CollectorRegistry:
    registry: CollectorRegistry = app.state.engine.metrics.registry
    return registry


def test_names_and_units_follow_the_conventions() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    metrics = list(registry.collect())
    assert len(metrics) >= 15
    for metric in metrics:
        assert re.fullmatch(r"vnyatno_[a-z][a-z_]+[a-z]", metric.name)
        assert metric.documentation
        assert not metric.name.endswith(("_ms", "_milliseconds", "_count", "_sum", "_bucket"))
        if metric.type == "counter":
            assert not metric.name.endswith("_total")  # which the library adds


def test_a_diagnosis_is_counted_in_every_figure(client: TestClient, app: FastAPI) -> None:
    registry = registry_of(app)
    stages = {"decode", "wait", "model"}

    def look() -> dict[str, float]:
        return {
            "sound": value(registry, "vnyatno_sound_seconds_total"),
            "batches": value(registry, "vnyatno_batch_size_count"),
            "batched": value(registry, "vnyatno_batch_size_sum"),
            "named": sum(sample.value for sample in samples(registry, "vnyatno_diagnoses_total")),
            "verdicts": sum(sample.value for sample in samples(registry, "vnyatno_verdicts_total")),
            **{name: value(registry, "vnyatno_stage_seconds_count", stage=name) for name in stages},
        }

    before = look()
    response = client.post("/api/predict", files={"file": ("a.wav", SPEECH)})
    after = {name: number - before[name] for name, number in look().items()}
    assert after == {"sound": 1.5, "batches": 1, "batched": 1, "named": 1, "verdicts": 3, **dict.fromkeys(stages, 1)}
    answer = response.json()
    assert value(registry, "vnyatno_diagnoses_total", bundle="tiny-1", **{"class": answer["class"]}) >= 1
    for name, word in answer["verdicts"].items():
        assert value(registry, "vnyatno_verdicts_total", bundle="tiny-1", verdict=word, **{"class": name}) >= 1
    assert value(registry, "vnyatno_queue_length") == 0
    whole = value(registry, "vnyatno_request_seconds_sum", route="/api/predict")
    assert sum(value(registry, "vnyatno_stage_seconds_sum", stage=name) for name in stages) <= whole


def test_what_fails_in_decoding_never_waits_for_the_model(client: TestClient, app: FastAPI) -> None:
    registry = registry_of(app)
    names = ("decode", "wait", "model")
    before = [value(registry, "vnyatno_stage_seconds_count", stage=name) for name in names]
    assert client.post("/api/predict", files={"file": ("a.wav", b"no sound")}).status_code == 415
    after = [value(registry, "vnyatno_stage_seconds_count", stage=name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 0, 0]


def test_swaps_and_refusals(data_home: Home) -> None:
    for name in ("tiny-1", "tiny-2"):
        write_tiny_bundle(data_home, name)
    publish(data_home, "tiny-1")
    app = started(data_home)
    registry, loader = registry_of(app), app.state.engine.loader
    loader.close()  # so that it follows when told to
    try:
        publish(data_home, "tiny-2")
        loader.look()
        publish(data_home, "tiny-1")
        (data_home.bundles / "tiny-1" / "README.md").write_text("changed")
        loader.look()
    finally:
        ended(app)
    assert value(registry, "vnyatno_bundle_swaps_total", recipe="defects") == 2
    assert value(registry, "vnyatno_bundle_load_seconds_count", recipe="defects") == 2
    assert value(registry, "vnyatno_bundle_load_seconds_sum", recipe="defects") > 0
    infos = {sample.labels["bundle"]: sample for sample in samples(registry, "vnyatno_bundle_info")}
    assert {name: sample.value for name, sample in infos.items()} == {"tiny-1": 0, "tiny-2": 1}
    assert infos["tiny-2"].labels == {
        "bundle": "tiny-2", "recipe": "defects", "language": "ru", "created": "2025-03-01T10:15:00+00:00",
    }  # fmt: skip
    counted = samples(registry, "vnyatno_bundles_refused_total")
    refused = {(sample.labels["recipe"], sample.labels["reason"]): sample.value for sample in counted}
    assert refused == dict.fromkeys(product(Recipe, REASONS), 0) | {("defects", "files"): 1}


def test_a_year_of_trainings_does_not_grow_the_metrics() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for number in range(200):
        metrics.diagnosed(f"defects-{number}", 1.0, ("burr",), {"burr": "yes"})
    counted = samples(registry, "vnyatno_diagnoses_total")
    assert len(counted) <= 51
    assert sum(sample.value for sample in counted) == 200
    (rest,) = [sample for sample in counted if sample.labels["bundle"] == OTHER]
    assert rest.value == 150


def test_queue_and_batches_are_told() -> None:
    registry = CollectorRegistry()
    lengths: list[float] = []
    metrics = Metrics(registry)

    def compute(_: str, clips: Any) -> list[int]:
        lengths.append(value(registry, "vnyatno_queue_length"))
        return [len(clip) for clip in clips]

    async def scenario() -> None:
        queue: ModelQueue[str, int] = ModelQueue(compute, batch_size=4, observer=metrics)
        with closing(queue):
            await asyncio.gather(*(queue.submit("m", np.zeros(100)) for _ in range(6)))

    asyncio.run(scenario())
    assert value(registry, "vnyatno_batch_size_sum") == 6
    assert value(registry, "vnyatno_batch_size_count") == 2
    assert lengths == [2, 0]
    assert value(registry, "vnyatno_queue_length") == 0


def test_drift_of_a_figure_that_is_gone_is_zero() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.drifted(120, {"seconds": 0.3, "class": 0.1}, {"seconds": 0.04, "class": 0.05})
    metrics.drifted(5, {"class": 0.2}, {"class": 0.15})
    told = {sample.labels["figure"]: sample.value for sample in samples(registry, "vnyatno_drift_psi")}
    assert told == {"seconds": 0, "class": 0.2}
    by_chance = {sample.labels["figure"]: sample.value for sample in samples(registry, "vnyatno_drift_psi_by_chance")}
    assert by_chance == {"seconds": 0, "class": 0.15}
    assert value(registry, "vnyatno_drift_window_diagnoses") == 5


WORKER = """
import sys
from api.observe.metrics import Metrics, exposition
from api.observe.requests import Stage
metrics = Metrics()
metrics.request("/api/predict", "POST", 200, 0.2, [Stage("decode", 1.0, 1.1)])
metrics.diagnosed("tiny-1", 1.5, ("burr",), {"burr": "yes"})
metrics.queued(3)
metrics.computed(2)
metrics.refused("files", "defects")
metrics.drifted(100, {"seconds": float(sys.argv[1])}, {"seconds": 0.05})
print("ready", flush=True)
sys.stdin.readline()
print(exposition()[0].decode(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def workers(tmp_path: Path) -> Any:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    started_ = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, drift],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for drift in ("0.125", "0.25")
    ]
    yield started_
    for worker in started_:
        worker.kill()
        worker.wait()


def test_several_workers_add_up_and_a_dead_one_leaves_its_gauges(workers: list[subprocess.Popen[str]]) -> None:
    first, second = workers

    def figures(worker: subprocess.Popen[str]) -> dict[str, float]:
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write("go\n")
        worker.stdin.flush()
        lines = iter(worker.stdout.readline, "\n")
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
    both = figures(first)
    assert both['vnyatno_requests_total{method="POST",route="/api/predict",status="200"}'] == 2
    assert both['vnyatno_stage_seconds_count{stage="decode"}'] == 2
    assert both['vnyatno_diagnoses_total{bundle="tiny-1",class="burr"}'] == 2
    assert both['vnyatno_bundles_refused_total{reason="files",recipe="defects"}'] == 2
    assert both["vnyatno_sound_seconds_total"] == 3
    assert both["vnyatno_batch_size_sum"] == 4
    assert both["vnyatno_queue_length"] == 6
    assert both["vnyatno_drift_window_diagnoses"] == 200
    assert both['vnyatno_drift_psi{figure="seconds"}'] == 0.25
    first.kill()
    first.wait()
    left = figures(second)
    assert left["vnyatno_queue_length"] == 3
    assert left["vnyatno_sound_seconds_total"] == 3


def test_labels_are_classes_of_the_bundle(client: TestClient, app: FastAPI) -> None:
    client.post("/api/predict", files={"file": ("a.wav", SPEECH)})
    named = {sample.labels["class"] for sample in samples(registry_of(app), "vnyatno_verdicts_total")}
    assert named == set(CLASSES) - {"none"}

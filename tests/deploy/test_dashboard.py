"""The dashboard for Grafana: a whole document, whose queries name figures and labels that the service has."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from api.observe.metrics import Metrics
from api.observe.requests import Stage
from speech.bundles.defects import load_bundle
from speech.home import Home
from tests.bundles import write_tiny_bundle

FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "vnyatno.json"
SUBJECTS = {
    "requests": "vnyatno_requests_total",
    "latency": "vnyatno_request_seconds_bucket",
    "stages": "vnyatno_stage_seconds_bucket",
    "queue": "vnyatno_queue_length",
    "batches": "vnyatno_batch_size_bucket",
    "swaps": "vnyatno_bundle_swaps_total",
    "refusals": "vnyatno_bundles_refused_total",
    "classes": "vnyatno_diagnoses_total",
    "drift": "vnyatno_drift_psi",
}
ADDED_BY_PROMETHEUS = {"job", "instance"}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document


def expressions(dashboard: dict[str, Any]) -> list[str]:
    queries = [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])] + queries


@pytest.fixture
def labels(data_home: Home) -> dict[str, set[str]]:
    """The labels of every series that a worker shows once it has done all it can do."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.request("/api/predict", "POST", 200, 0.1, [Stage("decode", 0.0, 0.1)])
    metrics.diagnosed("tiny-1", 1.0, ("burr",), {"burr": "yes"})
    metrics.drifted(100, {"seconds": 0.1}, {"seconds": 0.2})
    metrics.serving(load_bundle(write_tiny_bundle(data_home, "tiny-1")), 0.5)
    found: dict[str, set[str]] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_the_document_is_whole(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] >= 36
    assert dashboard["uid"]
    assert dashboard["title"] == "Vnyatno"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids) > 15
    for panel in dashboard["panels"]:
        assert panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["type"] in {"timeseries", "stat", "table"}
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "job"]


def test_no_panel_lies_over_another(dashboard: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


def test_every_figure_that_is_asked_for_exists(dashboard: dict[str, Any], labels: dict[str, set[str]]) -> None:
    asked = {name for expression in expressions(dashboard) for name in re.findall(r"\bvnyatno_\w+", expression)}
    assert asked - set(labels) == set()
    assert set(SUBJECTS.values()) <= asked


def test_every_label_that_is_asked_for_exists(dashboard: dict[str, Any], labels: dict[str, set[str]]) -> None:
    for expression in expressions(dashboard):
        own = set().union(*(labels[name] for name in re.findall(r"\bvnyatno_\w+", expression))) | ADDED_BY_PROMETHEUS
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
        matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
        used = {name.strip() for group in grouped for name in group.split(",")} | set(matched)
        assert used - own == set(), expression
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"])
            assert shown <= {name.strip() for group in grouped for name in group.split(",")}, target["expr"]


def test_counters_are_only_shown_as_rates_and_brackets_close(dashboard: dict[str, Any]) -> None:
    for expression in expressions(dashboard):
        for opened, closed in ("()", "{}", "[]"):
            assert expression.count(opened) == expression.count(closed), expression
        if not expression.startswith("label_values"):
            for name in re.findall(r"\bvnyatno_\w+(?:_total|_bucket|_sum|_count)\b", expression):
                assert re.search(rf"\b(?:rate|increase)\({name}\{{[^}}]*\}}\[", expression), expression

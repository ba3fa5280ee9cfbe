from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.routes.inventory import _EXAMPLE, BundleList
from speech.home import Home
from speech.serving.pointer import pointer_file, publish
from tests.api.conftest import ended, started
from tests.bundles import METRICS, write_tiny_bundle


@pytest.fixture
def client(data_home: Home) -> Iterator[TestClient]:
    """Five bundles: one in service, one that served before it, one ready, one refused, one broken."""
    for name in ("tiny-1", "tiny-2", "tiny-3"):
        write_tiny_bundle(data_home, name)
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, name)
    write_tiny_bundle(data_home, "tiny-poor", metrics=METRICS | {"macro_f1": float("nan")})
    os.truncate(write_tiny_bundle(data_home, "tiny-torn") / "model.safetensors", 100)
    app = started(data_home)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    ended(app)


def test_every_bundle_is_listed_with_its_state(client: TestClient) -> None:
    answer = client.get("/api/models").json()
    assert {bundle["id"]: bundle["state"] for bundle in answer["bundles"]} == {
        "tiny-1": "previous", "tiny-2": "in_service", "tiny-3": "ready", "tiny-poor": "refused_by_gate",
        "tiny-torn": "broken",
    }  # fmt: skip
    assert (answer["current"], answer["previous"], answer["pointer_error"]) == ("tiny-2", "tiny-1", None)
    by_id: dict[str, Any] = {bundle["id"]: bundle for bundle in answer["bundles"]}
    assert by_id["tiny-2"]["scores"]["macro_f1"] == METRICS["macro_f1"]
    assert by_id["tiny-2"]["lineage"] == {"archive": "0" * 64}
    assert by_id["tiny-2"]["age_seconds"] > 0
    assert by_id["tiny-poor"]["scores"]["macro_f1"] is None
    assert "minimum_macro_f1" in by_id["tiny-poor"]["reasons"][0]
    assert "model.safetensors" in by_id["tiny-torn"]["reasons"][0]
    assert by_id["tiny-torn"]["created"] is None


def test_pages_hold_every_bundle_once(client: TestClient) -> None:
    whole = [bundle["id"] for bundle in client.get("/api/models").json()["bundles"]]
    pages = [client.get("/api/models", params={"limit": 2, "offset": offset}).json() for offset in (0, 2, 4, 6)]
    assert [len(page["bundles"]) for page in pages] == [2, 2, 1, 0]
    assert [bundle["id"] for page in pages for bundle in page["bundles"]] == whole
    assert {(page["total"], page["limit"]) for page in pages} == {(5, 2)}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=many", "offset=-1", "offset=1e99"])
def test_a_page_that_cannot_be_is_400(client: TestClient, query: str) -> None:
    response = client.get(f"/api/models?{query}")
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert query.split("=")[0] in response.json()["detail"]


def test_a_broken_pointer_is_said(client: TestClient, data_home: Home) -> None:
    pointer_file(data_home).write_text("current: [")
    answer = client.get("/api/models").json()
    assert answer["current"] is None
    assert "cannot be read" in answer["pointer_error"]
    assert answer["total"] == 5


def test_the_document_shows_an_example_that_fits_and_every_failure(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    (shown,) = document["components"]["schemas"]["BundleList"]["examples"]
    assert BundleList.model_validate(_EXAMPLE).bundles[0].id == shown["bundles"][0]["id"]
    rollback = document["paths"]["/api/model/rollback"]["post"]["responses"]
    assert set(rollback) == {"200", "400", "401", "403", "409", "503"}
    examples = rollback["409"]["content"]["application/problem+json"]["examples"]
    assert set(examples) == {"no_previous", "bundle_refused", "pointer_moved", "pointer_broken"}
    assert examples["no_previous"]["value"]["status"] == 409

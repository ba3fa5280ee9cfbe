"""What served when, and how far answers have drifted, as the API tells it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from speech.files import write_json
from speech.home import Home
from speech.serving.drift import LEAST_ANSWERS, tally_file, write_tally
from speech.serving.pointer import publish, rollback
from tests.api.conftest import ended, started
from tests.bundles import write_tiny_bundle

STATISTICS = {"seconds": {"0.25": 1.0, "0.5": 2.0, "0.75": 4.0}}


@pytest.fixture
def client(data_home: Home) -> Iterator[TestClient]:
    for name in ("tiny-1", "tiny-2"):
        write_tiny_bundle(data_home, name)
        publish(data_home, name, by="the key of anna")
    app = started(data_home)
    with TestClient(
        app, raise_server_exceptions=False, client=("127.0.0.1", 50_000), base_url="http://127.0.0.1"
    ) as client:
        write_json(data_home.bundles / "tiny-2" / "statistics.json", STATISTICS)  # it was verified when it was loaded
        yield client
    ended(app)


def test_the_newest_change_comes_first_and_names_nobody(client: TestClient, data_home: Home) -> None:
    rollback(data_home, by="the key of anna")
    answer = client.get("/api/model/history", params={"limit": 2})
    changes = [(change["action"], change["before"], change["after"]) for change in answer.json()["changes"]]
    assert changes == [("rolled_back", "tiny-2", "tiny-1"), ("published", "tiny-1", "tiny-2")]
    assert answer.json()["total"] == 3
    assert "anna" not in answer.text


def test_what_all_workers_counted_is_added_up(client: TestClient, data_home: Home) -> None:
    half = LEAST_ANSWERS // 2
    write_tally(data_home, "tiny-2", "a", half, {"seconds": [0, 0, 0, half]})
    write_tally(data_home, "tiny-1", "old", 900, {"seconds": [900, 0, 0, 0]})
    tally_file(data_home, "broken").write_text("{")
    few = client.get("/api/drift").json()
    assert (few["bundle"], few["answers"], few["psi"]) == ("tiny-2", half, {})
    write_tally(data_home, "tiny-2", "b", half, {"seconds": [0, 0, 0, half]})
    told = client.get("/api/drift").json()
    assert told["psi"]["seconds"] > 1
    assert told["by_chance"]["seconds"] > 0


def test_drift_is_for_administrators(client: TestClient) -> None:
    elsewhere = TestClient(client.app, client=("192.0.2.1", 50_000))
    assert elsewhere.get("/api/drift").status_code == 401
    assert elsewhere.get("/api/model/history").status_code == 200

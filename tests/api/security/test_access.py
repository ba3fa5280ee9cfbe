"""Who is let in, through the whole application: keys, roles, rates, this machine, proxies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from api.app import build_app
from api.security.access import AccessMiddleware, administrator, predictor
from api.security.keys import keys_file, make_key, revoke_key
from api.settings import ServiceSettings
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import SETTINGS, ended, started
from tests.bundles import write_tiny_bundle
from tests.recordings import encoded, hum

STRANGER = ("203.0.113.9", 50_000)
HERE = ("127.0.0.1", 50_000)
LOCAL = "http://127.0.0.1"
SPEECH = encoded(hum(1.0))


MADE: list[FastAPI] = []  # by the test that runs


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().state.access.close()


def application(home: Home, **settings: Any) -> FastAPI:
    """The application without an engine, and a route that changes something."""
    app = build_app(ServiceSettings(**settings), home)
    MADE.append(app)

    @app.post("/change", dependencies=[Depends(administrator)])
    async def _change() -> str:
        return "changed"

    return app


def client(home: Home, peer: tuple[str, int] = STRANGER, **settings: Any) -> TestClient:
    return TestClient(application(home, **settings), client=peer, base_url=LOCAL)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def predict(client: TestClient, **headers: str) -> Any:
    """Without an engine a request that is let in is told that the service is starting."""
    return client.post("/api/predict", files={"file": ("a.wav", SPEECH)}, headers=headers)


def outcome(response: Any) -> tuple[int, str]:
    problem = response.json()
    if isinstance(problem, str):
        return response.status_code, problem
    if "error" in problem:  # as OpenAI's clients read it
        return response.status_code, problem["error"]["code"]
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code != 401 or response.headers["www-authenticate"].startswith("Bearer")
    return response.status_code, problem["code"]


IN = (503, "starting")


def test_without_keys_everybody_predicts_and_only_this_machine_changes_anything(data_home: Home) -> None:
    for peer in (STRANGER, HERE):
        assert outcome(predict(client(data_home, peer))) == IN
    assert outcome(client(data_home).post("/change")) == (401, "key_missing")
    assert outcome(client(data_home, HERE).post("/change")) == (200, "changed")


def test_a_page_under_a_name_that_leads_to_this_machine_is_a_stranger(data_home: Home) -> None:
    make_key(data_home, "anna")
    here = client(data_home, HERE)
    rebound = {"host": "rebound.example:8000"}
    assert outcome(here.post("/change", headers=rebound)) == (401, "key_missing")
    assert outcome(predict(here, **rebound)) == (401, "key_missing")
    for path in ("/metrics", "/api/drift", "/api/batches"):
        assert outcome(here.get(path, headers=rebound)) == (401, "key_missing")


def test_this_machine_administers_unless_that_is_switched_off(data_home: Home) -> None:
    make_key(data_home, "root", "admin")
    assert outcome(client(data_home, HERE).post("/change")) == (200, "changed")
    strict = client(data_home, HERE, administered_on_localhost=False)
    assert outcome(strict.post("/change")) == (401, "key_missing")
    assert outcome(strict.get("/metrics")) == (401, "key_missing")
    assert outcome(predict(strict)) == IN


def test_keys_for_administration_alone_leave_prediction_open(data_home: Home) -> None:
    make_key(data_home, "root", "admin")
    assert outcome(predict(client(data_home))) == IN


@pytest.mark.parametrize(
    "send", [bearer, lambda key: {"X-API-Key": key}, lambda key: {"Authorization": f"bearer {key}"}]
)
def test_a_key_lets_in_whichever_way_it_is_sent(data_home: Home, send: Any) -> None:
    one, other = make_key(data_home, "anna"), make_key(data_home, "root", "admin")
    strange = client(data_home)
    assert outcome(predict(strange, **send(one))) == IN
    assert outcome(predict(strange, **send(other))) == IN
    assert outcome(strange.post("/change", headers=send(one))) == (403, "forbidden_role")
    assert outcome(strange.post("/change", headers=send(other))) == (200, "changed")


def test_a_password_of_another_scheme_does_not_hide_the_key(data_home: Home) -> None:
    token = make_key(data_home, "anna")
    headers = {"Authorization": "Basic YTpi", "X-API-Key": token}
    assert outcome(predict(client(data_home), **headers)) == IN


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"X-API-Key": ""},
        {"Authorization": "Basic YTpi"},
    ],
)
def test_without_a_key_it_is_said_how_to_send_one(data_home: Home, headers: dict[str, str]) -> None:
    make_key(data_home, "anna")
    response = predict(client(data_home), **headers)
    assert outcome(response) == (401, "key_missing")
    assert "Bearer" in response.json()["detail"]
    assert "error" not in response.headers["www-authenticate"]


def test_unknown_and_revoked_keys_are_told_apart(data_home: Home) -> None:
    revoked, good = make_key(data_home, "anna"), make_key(data_home, "olga")
    revoke_key(data_home, "anna")
    strange = client(data_home)
    for token, code in [(revoked, "key_revoked"), ("vny_invented", "key_unknown"), ("x" * 9_000, "key_unknown")]:
        for response in (predict(strange, **bearer(token)), strange.post("/change", headers=bearer(token))):
            assert outcome(response) == (401, code)
            assert 'error="invalid_token"' in response.headers["www-authenticate"]
            assert token not in response.text
    assert outcome(strange.post("/change", headers=[(b"x-api-key", "é".encode("latin-1"))])) == (401, "key_unknown")
    assert outcome(predict(strange, **bearer(good))) == IN


def test_keys_count_from_the_next_request_on(data_home: Home) -> None:
    strange = client(data_home)
    assert outcome(predict(strange)) == IN
    token = make_key(data_home, "anna")
    assert outcome(predict(strange)) == (401, "key_missing")
    assert outcome(predict(strange, **bearer(token))) == IN
    revoke_key(data_home, "anna")
    assert outcome(predict(strange, **bearer(token))) == (401, "key_revoked")
    assert outcome(predict(strange)) == (401, "key_missing")  # taking back the last key opens nothing
    keys_file(data_home).unlink()
    assert outcome(predict(strange)) == IN


def test_a_list_broken_from_the_start_lets_nobody_in_but_this_machine(data_home: Home) -> None:
    data_home.root.mkdir()
    keys_file(data_home).write_text("keys: [")
    for ask in (predict, lambda strange: strange.post("/change")):
        response = ask(client(data_home))
        assert outcome(response) == (503, "keys_unreadable")
        assert str(data_home.root) not in response.text
    assert outcome(predict(client(data_home, HERE))) == IN


def test_this_machine_predicts_without_a_key_unless_the_setting_says_no(data_home: Home) -> None:
    token = make_key(data_home, "anna")
    assert outcome(predict(client(data_home, HERE))) == IN
    closed = client(data_home, HERE, open_on_localhost=False)
    assert outcome(predict(closed)) == (401, "key_missing")
    assert outcome(predict(closed, **bearer(token))) == IN
    assert outcome(closed.post("/change")) == (200, "changed")


def test_nobody_becomes_this_machine_by_a_header(data_home: Home) -> None:
    make_key(data_home, "anna")
    for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Host": "localhost"}):
        for settings in ({}, {"trusted_proxies": [STRANGER[0]]}):
            strange = client(data_home, **settings)
            assert outcome(predict(strange, **headers)) == (401, "key_missing")
            assert outcome(strange.post("/change", headers=headers)) == (401, "key_missing")
    here = client(data_home, HERE)
    for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Origin": "https://evil.example"}):
        assert outcome(here.post("/change", headers=headers)) == (401, "key_missing")


def test_a_key_has_its_rate_and_no_other_pays_for_it(data_home: Home) -> None:
    one, other = make_key(data_home, "anna", per_minute=2), make_key(data_home, "olga", per_minute=2)
    strange = client(data_home)
    assert [outcome(predict(strange, **bearer(one))) for _ in range(2)] == [IN, IN]
    response = predict(strange, **bearer(one))
    assert outcome(response) == (429, "rate_limited")
    assert 1 <= int(response.headers["retry-after"]) <= 30
    assert (response.headers["ratelimit-limit"], response.headers["ratelimit-remaining"]) == ("2", "0")
    assert int(response.headers["ratelimit-reset"]) > 30
    assert outcome(predict(strange, **bearer(other))) == IN


def test_administration_has_its_rate_too(data_home: Home) -> None:
    token = make_key(data_home, "root", "admin", per_minute=1)
    strange = client(data_home)
    first = strange.post("/change", headers=bearer(token))
    assert (first.status_code, first.headers["ratelimit-remaining"]) == (200, "0")
    assert outcome(strange.post("/change", headers=bearer(token))) == (429, "rate_limited")


def test_addresses_without_keys_have_a_rate_where_one_is_set(data_home: Home) -> None:
    app = application(data_home, address_per_minute=1, trusted_proxies=["10.0.0.1"])
    strange, other = TestClient(app, client=STRANGER), TestClient(app, client=("203.0.113.10", 1))
    assert [outcome(predict(strange))[0] for _ in range(2)] == [503, 429]
    assert outcome(predict(strange, **{"X-Forwarded-For": "198.51.100.7"})) == (429, "rate_limited")
    assert outcome(predict(other)) == IN
    proxy = TestClient(app, client=("10.0.0.1", 1))
    assert outcome(predict(proxy, **{"X-Forwarded-For": "198.51.100.7"})) == IN
    assert outcome(predict(proxy, **{"X-Forwarded-For": "1.1.1.1, 198.51.100.7"})) == (429, "rate_limited")
    assert outcome(predict(proxy, **{"X-Forwarded-For": STRANGER[0]})) == (429, "rate_limited")
    assert [outcome(predict(TestClient(app, client=HERE, base_url=LOCAL)))[0] for _ in range(3)] == [503] * 3
    neighbours = [TestClient(app, client=(f"2001:db8::{number}", 1)) for number in (1, 2)]
    assert [outcome(predict(neighbour))[0] for neighbour in neighbours] == [503, 429]


def test_addresses_have_no_rate_by_default(data_home: Home) -> None:
    strange = client(data_home)
    assert {outcome(predict(strange)) for _ in range(100)} == {IN}


def test_a_stranger_is_turned_away_before_the_body_is_read_and_holds_no_place(data_home: Home) -> None:
    make_key(data_home, "anna")
    app = application(data_home, max_requests=1)
    read: list[int] = []

    async def beyond(*_: object) -> None:
        read.append(1)

    sent: list[Any] = []

    async def scenario() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"x" * 1000, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/api/predict", "headers": [], "client": STRANGER}
        await AccessMiddleware(beyond, {"/api/predict": app.state.access.predictor})(scope, receive, send)

    asyncio.run(scenario())
    assert sent[0]["status"] == 401
    assert read == []


def test_a_route_that_predicts_elsewhere_asks_for_the_key_too(data_home: Home) -> None:
    token = make_key(data_home, "anna")
    app = application(data_home)

    @app.post("/many", dependencies=[Depends(predictor)])
    async def _many() -> str:
        return "heard"

    strange = TestClient(app, client=STRANGER)
    assert outcome(strange.post("/many")) == (401, "key_missing")
    assert outcome(strange.post("/many", headers=bearer(token))) == (200, "heard")


@pytest.fixture
def serving(data_home: Home) -> Iterator[FastAPI]:
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    app = started(data_home, SETTINGS)
    yield app
    ended(app)


def test_an_answer_says_how_much_is_left_and_one_request_counts_once(serving: FastAPI, data_home: Home) -> None:
    token = make_key(data_home, "anna", per_minute=10)
    with TestClient(serving, client=STRANGER) as strange:
        for left in ("9", "8"):
            response = predict(strange, **bearer(token))
            assert response.status_code == 200
            assert response.headers["ratelimit-remaining"] == left


def test_metrics_are_for_administrators(serving: FastAPI, data_home: Home) -> None:
    predicting, administering = make_key(data_home, "anna"), make_key(data_home, "root", "admin")
    with TestClient(serving, client=STRANGER) as strange:
        assert outcome(strange.get("/metrics")) == (401, "key_missing")
        assert outcome(strange.get("/metrics", headers=bearer(predicting))) == (403, "forbidden_role")
        assert strange.get("/metrics", headers=bearer(administering)).status_code == 200
    with TestClient(serving, client=HERE, base_url=LOCAL) as here:
        assert "python_info" in here.get("/metrics").text


def test_what_only_shows_stays_open(serving: FastAPI, data_home: Home) -> None:
    make_key(data_home, "anna")
    with TestClient(serving, client=STRANGER) as strange:
        for path in ("/api/model", "/api/health", "/api/docs/", "/api/openapi.json"):
            assert strange.get(path).status_code == 200


def test_every_route_that_is_no_get_asks_who_wants_it(serving: FastAPI, data_home: Home) -> None:
    make_key(data_home, "anna")
    asked = 0
    with TestClient(serving, client=STRANGER) as strange:
        for path, operations in strange.get("/api/openapi.json").json()["paths"].items():
            for method in set(operations) - {"get"}:
                asked += 1
                assert outcome(strange.request(method, path, json={})) == (401, "key_missing"), path
                assert operations[method]["security"] == [{"HTTPBearer": []}, {"APIKeyHeader": []}]
    assert asked >= 1

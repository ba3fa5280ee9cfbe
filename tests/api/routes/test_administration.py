from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import build_app
from api.security.keys import make_key
from speech.bundles.gate import Gate
from speech.home import Home
from speech.serving.history import read_history
from speech.serving.pointer import pointer_file, publish, read_pointer
from tests.api.conftest import SETTINGS, ended, started
from tests.bundles import write_tiny_bundle

HERE = ("127.0.0.1", 50_000)
LOCAL = "http://127.0.0.1"
ROUTE = "/api/model/rollback"


@pytest.fixture
def running(data_home: Home) -> Iterator[FastAPI]:
    """tiny-2 serves, tiny-1 did before."""
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, write_tiny_bundle(data_home, name).name)
    app = started(data_home)
    yield app
    ended(app)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, Home]]:
    """The same, for those who are to be refused, whom one application serves as well as many."""
    home = Home(tmp_path_factory.mktemp("refusing"))
    for name in ("tiny-1", "tiny-2"):
        publish(home, write_tiny_bundle(home, name).name)
    app = started(home)
    yield app, home
    ended(app)


@pytest.fixture
def local(running: FastAPI) -> Iterator[TestClient]:
    with TestClient(running, client=HERE, base_url=LOCAL, raise_server_exceptions=False) as client:
        yield client


def current(home: Home) -> str:
    pointer = read_pointer(home)
    assert pointer is not None
    return pointer.current


def require_problem(response: Any, status: int, code: str) -> str:
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


def test_a_rollback_answers_the_new_pointer_before_the_worker_swaps(
    local: TestClient, running: FastAPI, data_home: Home
) -> None:
    running.state.engine.loader.close()  # so that it follows when told to
    answer = local.post(ROUTE)
    assert answer.status_code == 200
    pointer = read_pointer(data_home)
    assert pointer is not None
    assert answer.json() == {
        "current": "tiny-1", "previous": "tiny-2", "published": pointer.published, "in_service": "tiny-2",
    }  # fmt: skip
    assert (pointer.current, pointer.previous) == ("tiny-1", "tiny-2")
    assert read_history(data_home)[-1].by == "POST /api/model/rollback from this machine"
    running.state.engine.loader.look()
    card = local.get("/api/model").json()
    assert (card["bundle"], card["previous"]) == ("tiny-1", "tiny-2")
    assert local.post(ROUTE).json()["current"] == "tiny-2"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_let_in(running: FastAPI, host: str) -> None:
    with TestClient(running, client=(host, 1), base_url=LOCAL) as client:
        assert client.post(ROUTE).status_code == 200


@pytest.mark.parametrize("host", ["192.168.0.7", "::ffff:192.168.0.7", "2001:db8::1", "0.0.0.0", "testclient", ""])
@pytest.mark.parametrize("header", [None, "x-forwarded-for", "x-real-ip", "host", "origin"])
def test_others_are_not_whatever_their_headers_say(
    refusing: tuple[FastAPI, Home], host: str, header: str | None
) -> None:
    app, home = refusing
    value = "http://127.0.0.1" if header == "origin" else "127.0.0.1"
    with TestClient(app, client=(host, 1), base_url=LOCAL) as client:
        detail = require_problem(client.post(ROUTE, headers={header: value} if header else {}), 401, "key_missing")
    assert "make key" in detail
    assert current(home) == "tiny-2"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "203.0.113.7"},
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=203.0.113.7"},
        {"x-real-ip": "203.0.113.7"},
        {"origin": "https://example.org"},
        {"origin": "null"},
        {"origin": "http://localhost.example.org"},
        {"origin": "http://[::1"},
    ],
    ids=str,
)
def test_a_proxy_or_a_foreign_page_on_this_machine_is_not_let_in(
    refusing: tuple[FastAPI, Home], headers: dict[str, str]
) -> None:
    app, home = refusing
    with TestClient(app, client=HERE, base_url=LOCAL) as client:
        require_problem(client.post(ROUTE, headers=headers), 401, "key_missing")
    assert current(home) == "tiny-2"


@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://127.0.0.1:8501", "http://[::1]:8000"])
def test_the_documentations_own_page_is_let_in(local: TestClient, origin: str) -> None:
    assert local.post(ROUTE, headers={"origin": origin}).status_code == 200


def test_what_stands_in_the_way_is_a_409_that_says_what(local: TestClient, data_home: Home) -> None:
    before = pointer_file(data_home).read_bytes()
    os.truncate(data_home.bundles / "tiny-1" / "model.safetensors", 100)
    detail = require_problem(local.post(ROUTE), 409, "bundle_refused")
    assert "tiny-1/model.safetensors was changed or cut off" in detail
    shutil.rmtree(data_home.bundles / "tiny-1")
    assert "there is no bundle" in require_problem(local.post(ROUTE), 409, "bundle_refused")
    write_tiny_bundle(data_home, "tiny-1", gate=Gate(min_macro_f1=0.9))
    assert "minimum_macro_f1" in require_problem(local.post(ROUTE), 409, "bundle_refused")
    assert pointer_file(data_home).read_bytes() == before
    pointer_file(data_home).write_text("current: tiny-2\n")
    assert "tiny-2" in require_problem(local.post(ROUTE), 409, "no_previous")
    pointer_file(data_home).write_text("current: [")
    assert "publish a bundle" in require_problem(local.post(ROUTE), 409, "pointer_broken")


def test_before_any_publication_there_is_no_previous(data_home: Home) -> None:
    app = started(data_home)
    try:
        with TestClient(app, client=HERE, base_url=LOCAL) as client:
            require_problem(client.post(ROUTE), 409, "no_previous")
    finally:
        ended(app)


def test_an_administrator_elsewhere_is_let_in_and_remembered(running: FastAPI, data_home: Home) -> None:
    secret = make_key(data_home, "anna", "admin")
    with TestClient(running, client=("203.0.113.7", 1)) as client:
        assert client.post(ROUTE, headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    assert current(data_home) == "tiny-1"
    assert read_history(data_home)[-1].by == "POST /api/model/rollback with the key anna"


def test_while_the_service_starts_it_says_so(data_home: Home) -> None:
    with TestClient(build_app(SETTINGS, data_home), client=HERE, base_url=LOCAL) as client:
        require_problem(client.post(ROUTE), 503, "starting")
        require_problem(client.get("/api/models"), 503, "starting")


def test_a_wrong_method_is_405(local: TestClient) -> None:
    require_problem(local.get(ROUTE), 405, "method_not_allowed")
    assert local.get(ROUTE).headers["allow"] == "POST"
    assert local.post("/api/models").headers["allow"] == "GET"

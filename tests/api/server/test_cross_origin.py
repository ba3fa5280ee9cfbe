"""Pages of other sites: nothing for them by default; what browsers ask for where the settings name them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import build_app
from api.security.keys import make_key
from api.settings import ServiceSettings, SettingsError, read_settings
from speech.home import Home
from tests.recordings import encoded, hum

PAGE = "https://app.example.org"
SPEECH = encoded(hum(1.0))
PREFLIGHTS: dict[str, Any] = json.loads((Path(__file__).parent / "known_cases" / "preflights.json").read_text())


def app(home: Home, *origins: str) -> FastAPI:
    return build_app(ServiceSettings(cors_origins=origins), home)


@pytest.fixture
def page(data_home: Home) -> Iterator[TestClient]:
    with TestClient(app(data_home, PAGE), raise_server_exceptions=False) as client:
        yield client


def preflight(client: TestClient, path: str, method: str, headers: str, origin: str = PAGE) -> Any:
    asked = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
    return client.options(path, headers=asked)


@pytest.mark.parametrize("case", PREFLIGHTS.values(), ids=PREFLIGHTS)
def test_browsers_are_let_through_where_the_page_is_named(page: TestClient, case: dict[str, str]) -> None:
    answer = preflight(page, **case)
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert case["method"] in answer.headers["access-control-allow-methods"]
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].lower().split(",")}
    assert set(case["headers"].split(",")) <= allowed


@pytest.mark.parametrize("case", PREFLIGHTS.values(), ids=PREFLIGHTS)
def test_by_default_no_page_is(data_home: Home, case: dict[str, str]) -> None:
    client = TestClient(app(data_home))
    for answer in (preflight(client, **case), client.get("/api/health", headers={"origin": PAGE})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example.org", f"{PAGE}.evil.example", "null"])
def test_other_pages_are_not(page: TestClient, origin: str) -> None:
    answer = preflight(page, "/api/predict", "POST", "authorization", origin)
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in page.get("/api/nothing", headers={"origin": origin}).headers


def test_answers_and_every_kind_of_failure_can_be_read(
    page: TestClient, data_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(path: str = "/api/predict", **more: Any) -> Any:
        return page.post(path, headers={"origin": PAGE}, **more)

    answers = [post(), post("/api/nothing"), post(content=bytes(40_000_000)), post(files={"file": SPEECH})]
    with monkeypatch.context() as patch:
        patch.setattr("api.routes.predict.engine_of", lambda _: 1 / 0)
        answers.append(post(files={"file": SPEECH}))
    make_key(data_home, "anna")
    answers += [post(files={"file": SPEECH}), page.get("/api/openapi.json", headers={"origin": PAGE})]
    assert [answer.status_code for answer in answers] == [400, 404, 413, 503, 500, 401, 200]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {PAGE}
    assert "X-Request-ID" in answers[0].headers["access-control-expose-headers"]


def test_any_page_may_be_named(data_home: Home) -> None:
    client = TestClient(app(data_home, "*"))
    assert preflight(client, "/api/predict", "POST", "x-api-key").headers["access-control-allow-origin"] == "*"


def test_a_named_page_has_a_strangers_rights_on_this_machine(data_home: Home) -> None:
    with TestClient(app(data_home, PAGE), "http://127.0.0.1", client=("127.0.0.1", 1)) as client:
        assert client.get("/metrics", headers={"origin": PAGE}).status_code == 401


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://App.example.org/", (PAGE,)),
        ("https://app.example.org:443, http://localhost:3000", (PAGE, "http://localhost:3000")),
        ("http://[::1]:5173", ("http://[::1]:5173",)),
        ("capacitor://localhost", ("capacitor://localhost",)),
        ("*", ("*",)),
    ],
)
def test_origins_are_written_as_browsers_send_them(text: str, origins: tuple[str, ...]) -> None:
    assert read_settings({"VNYATNO_CORS_ORIGINS": text}).cors_origins == origins


@pytest.mark.parametrize(
    "text", ["app.example.org", "https://*.example.org", "https://a/b", "null", "https://", "https://a b"]
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"VNYATNO_CORS_ORIGINS.*is no origin"):
        read_settings({"VNYATNO_CORS_ORIGINS": text})

"""What Caddy makes of the Caddyfile and its variables; tests/deploy/front/test_proxy.py asks a running one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.addresses import Addresses, read_addresses
from deploy.front.configuration import Automatic, Files, adapted, variables
from deploy.front.login import Login
from deploy.front.settings import FrontError

pytestmark = pytest.mark.system
OWN = Files(Path("/my own/c.pem"), Path("/my own/k.pem"))
LOGIN = Login("admin", "$2a$14$hash", "")
PAGES, PLAIN, DAGSTER = "0.0.0.0:443", "0.0.0.0:80", "0.0.0.0:3000"


@pytest.fixture
def proxied() -> Addresses:
    return read_addresses({"VNYATNO_PROXY": "on", "VNYATNO_HOST": "0.0.0.0"})


def made(addresses: Addresses, **changed: Any) -> dict[str, Any]:
    program = shutil.which("caddy")
    assert program, "caddy is not installed; `make system-packages` installs it"
    assert addresses.front is not None
    given = {"certificate": OWN, "login": LOGIN, "store": Path("/my data/proxy/caddy"), **changed}
    return adapted(program, variables(addresses, addresses.front, **given))


def server(configuration: Mapping[str, Any], address: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = list(configuration["apps"]["http"]["servers"].values())
    (one,) = [each for each in found if each["listen"] == [address]]
    return one


def routes(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Routes with a handler that answers, in order; Caddy puts those of a block into a route of their own."""
    for route in value["routes"]:
        for handler in route["handle"]:
            if handler["handler"] == "subroute":
                match = {"match": route["match"]} if "match" in route else {}
                yield from (match | inner for inner in routes(handler))
            else:
                yield route


def handlers(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [handler for route in routes(value) for handler in route["handle"]]


def test_pages_and_service_stand_behind_one_door(proxied: Addresses) -> None:
    service, web = routes(server(made(proxied), PAGES))
    assert "/api/*" in service["match"][0]["path"]
    assert "/v1/*" in service["match"][0]["path"]
    assert service["handle"][0]["upstreams"] == [{"dial": "127.0.0.1:8000"}]
    assert "match" not in web
    assert web["handle"][0]["upstreams"] == [{"dial": "127.0.0.1:8501"}]


def test_plain_http_leads_to_https(proxied: Addresses) -> None:
    last = handlers(server(made(proxied), PLAIN))[-1]
    assert (last["status_code"], last["headers"]["Location"]) == (
        308,
        ["https://{http.request.host}{http.request.uri}"],
    )


def test_dagster_asks_for_the_password_unless_it_is_off(proxied: Addresses) -> None:
    dagster = server(made(proxied), DAGSTER)
    (basic,) = [one["providers"]["http_basic"] for one in handlers(dagster) if one["handler"] == "authentication"]
    assert basic["accounts"] == [{"username": "admin", "password": "$2a$14$hash"}]
    names = [handler["handler"] for handler in handlers(dagster)]
    assert names.index("authentication") < names.index("reverse_proxy")
    assert dagster["tls_connection_policies"]
    open_to_all = server(made(proxied, login=None), DAGSTER)
    assert "authentication" not in [handler["handler"] for handler in handlers(open_to_all)]


def test_nobody_administers_the_proxy_and_nothing_is_kept_elsewhere(proxied: Addresses) -> None:
    configuration = made(proxied)
    assert configuration["admin"] == {"disabled": True, "config": {"persist": False}}
    assert configuration["storage"]["root"] == "/my data/proxy/caddy"


def test_a_certificate_of_ones_own_serves_whatever_name_is_asked_for(proxied: Addresses) -> None:
    configuration = made(proxied)
    (file,) = configuration["apps"]["tls"]["certificates"]["load_files"]
    assert (file["certificate"], file["key"]) == ("/my own/c.pem", "/my own/k.pem")
    for address in (PAGES, DAGSTER):
        (policy,) = server(configuration, address)["tls_connection_policies"]
        assert policy == {"certificate_selection": {"any_tag": file["tags"]}}


def test_a_certificate_by_acme(proxied: Addresses) -> None:
    configuration = made(proxied, certificate=Automatic(["a.example"], "me@a.example", "https://ca/"))
    policy = configuration["apps"]["tls"]["automation"]["policies"][0]
    assert policy["subjects"] == ["a.example"]
    issuer = policy["issuers"][0]
    assert (issuer["module"], issuer["email"], issuer["ca"]) == ("acme", "me@a.example", "https://ca/")
    (pages,) = server(configuration, PAGES)["routes"]
    assert pages["match"] == [{"host": ["a.example"]}]  # Caddy gets a certificate for what its sites are called


def test_others_words_on_where_a_request_came_from_count_only_if_named(proxied: Addresses) -> None:
    for one in handlers(server(made(proxied), PAGES)):
        assert one["handler"] == "reverse_proxy"
        assert "trusted_proxies" not in one
    named = server(made(proxied, outer=["10.0.0.5"]), PAGES)
    assert [one["trusted_proxies"] for one in handlers(named)] == [["10.0.0.5"], ["10.0.0.5"]]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"login": Login("a`b", "$2a$14$hash", "")}, "VNYATNO_DAGSTER_USER holds a backtick"),
        ({"outer": ["{"]}, r"the proxy cannot be started: .*Caddyfile:\d+"),
    ],
)
def test_what_cannot_be_read_is_told(proxied: Addresses, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(FrontError, match=told):
        made(proxied, **changed)

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from api.security.peers import Peer, parse_address, peer_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("127.0.0.1"), ip_network("fd00::/8")]


CASES: dict[str, tuple[bool, str, dict[str, str]]] = json.loads(
    (Path(__file__).parent / "known_cases" / "local_requests.json").read_text()
)


def peer(client: str | None, *headers: tuple[str, str], trusted: bool = True, host: str | None = "localhost") -> Peer:
    sent = [*headers, *([] if host is None else [("host", host)])]
    scope = {
        "type": "http",
        "client": None if client is None else (client, 1),
        "headers": [(name.encode(), value.encode()) for name, value in sent],
    }
    return peer_of(HTTPConnection(scope), PROXIES if trusted else [])


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", value) for value in values]


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_local(client: str) -> None:
    assert peer(client).local


@pytest.mark.parametrize("client", ["192.0.2.1", "10.0.0.1", "0.0.0.0", "2001:db8::1", "::ffff:192.0.2.1", "name"])
def test_others_are_not(client: str) -> None:
    assert not peer(client).local
    assert not peer(client, *forwarded("127.0.0.1")).local
    assert not peer(client, *forwarded("127.0.0.1"), trusted=False).local


@pytest.mark.parametrize(("local", "version", "headers"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_what_comes_from_this_machine_may_be_anothers_all_the_same(
    client: str, local: bool, version: str, headers: dict[str, str]
) -> None:
    scope = {
        "type": "http",
        "http_version": version,
        "client": (client, 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    assert peer_of(HTTPConnection(scope)) == Peer(ip_address(client), local)


def test_of_two_hosts_none_counts() -> None:
    assert not peer("127.0.0.1", ("host", "rebound.example")).local


def test_a_socket_without_an_address_is_nobody() -> None:
    assert peer(None) == Peer(None, False)


@pytest.mark.parametrize(
    ("client", "values", "address"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),  # who is no proxy does not choose its address
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # the left one is the client's own invention
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.9, 127.0.0.1"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:5000"], "203.0.113.9"),
        ("fd00::1", ["[2001:db8::5]:5000"], "2001:db8::5"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        ("10.0.0.1", ["203.0.113.9, ,"], "203.0.113.9"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, unknown"], None),
        ("10.0.0.1", ["203.0.113.9, 999.1.1.1"], None),
    ],
)
def test_the_right_most_address_that_is_no_proxy_counts(client: str, values: list[str], address: str | None) -> None:
    assert peer(client, *forwarded(*values)).address == (address and parse_address(address))


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
@pytest.mark.parametrize("trusted", [True, False])
def test_what_a_proxy_on_this_machine_forwards_does_not_come_from_this_machine(header: str, trusted: bool) -> None:
    for value in ("203.0.113.9", "127.0.0.1", "for=127.0.0.1", ""):
        assert not peer("127.0.0.1", (header, value), trusted=trusted).local


@pytest.mark.parametrize(
    ("origin", "local"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8501", True),
        ("http://[::1]:8000", True),
        ("https://evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://192.0.2.1", False),
        ("http://[::1", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_page_of_another_site_does_not_use_this_machines_rights(origin: str, local: bool) -> None:
    assert peer("127.0.0.1", ("origin", origin)).local is local

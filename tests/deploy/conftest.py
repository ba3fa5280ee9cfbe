"""Toy servers and a real Dagster over toy definitions, shared by the tests of this room."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from deploy.addresses import Address, Addresses
from deploy.run.parts import Part, answers, dagster_parts
from deploy.run.processes import marked
from deploy.run.stack import Stack
from speech.home import Home
from tests.ports import free_port

TOY = ("--python-file", str(Path(__file__).parent / "toy_definitions.py"))


class Clock:
    """A clock that stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def free_addresses() -> Addresses:
    return Addresses(
        Address("Dagster", "VNYATNO_DAGSTER_PORT", "127.0.0.1", free_port()),
        Address("the service", "VNYATNO_SERVICE_PORT", "127.0.0.1", free_port()),
        Address("the web application", "VNYATNO_WEB_PORT", "127.0.0.1", free_port()),
    )


def accepts(address: Address) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address.host, address.port)) == 0


def assert_nothing_left(home: Home, addresses: Addresses) -> None:
    assert marked(home.root) == []
    assert not accepts(addresses.dagster)
    assert not accepts(addresses.service)
    assert not accepts(addresses.web)


def toy_stack(home: Home, addresses: Addresses) -> Stack:
    """Dagster over the toy definitions, as the launcher starts it over the real ones."""
    return Stack(home, addresses, lambda code: dagster_parts(addresses, code, TOY), show=False)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def web_part(name: str, address: Address, after: Sequence[str] = (), then: str = "server.serve_forever()") -> Part:
    """A web server that answers 200 to any GET; `then` is what it does once it listens."""
    code = f"""
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever the tests' own process ignores or holds back
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
server = http.server.ThreadingHTTPServer(("{address.host}", {address.port}), Handler)
print("listening", flush=True)
{then}
"""
    return Part(name, python(code), ready=lambda: answers(address.url), after=after)


@pytest.fixture
def addresses() -> Addresses:
    return free_addresses()


@pytest.fixture(scope="session")
def running_dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Web server, daemon and code server over the toy definitions, for all tests that only launch runs."""
    with toy_stack(Home(tmp_path_factory.mktemp("dagster") / "home"), free_addresses()) as stack:
        yield stack


@pytest.fixture
def environment() -> Callable[..., dict[str, str]]:
    """The environment for a launcher started as a command."""

    def make(home: Home, addresses: Addresses, **more: str) -> dict[str, str]:
        ports = {
            "VNYATNO_DAGSTER_PORT": str(addresses.dagster.port),
            "VNYATNO_SERVICE_PORT": str(addresses.service.port),
            "VNYATNO_WEB_PORT": str(addresses.web.port),
        }
        return {**os.environ, "VNYATNO_HOME": str(home.root), "VNYATNO_HOST": "127.0.0.1", **ports, **more}

    return make

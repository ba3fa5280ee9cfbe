"""What the web application's tests share: real databases, a real server process, a stand-in for the service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from streamlit.testing.v1 import AppTest

from tests.web.service import StubService
from web import cookies, visit
from web.accounts import passwords
from web.house import House, build
from web.server import SCRIPT
from web.settings import WebSettings

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"


@pytest.fixture
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Passwords are hashed cheaply; the server process hashes in earnest."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(memory_cost=1_024))
    passwords._nobodys.cache_clear()
    yield
    passwords._nobodys.cache_clear()


@pytest.fixture
def here(tmp_path: Path, stub: StubService, quick_hashes: None) -> Iterator[House]:
    """A house in a folder of its own, with the stand-in for the service."""
    stub.reset()
    made = build(WebSettings(home=tmp_path, service=stub.url, service_seconds=5))
    yield made
    made.database.close()


@pytest.fixture
def open_page(here: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Open the application with the cookies that a browser would send; `page`: a module of `web.pages`."""

    def opened(token: str = "", language: str = "en", page: str = "") -> AppTest:
        sent = {cookies.SESSION: token, cookies.LANGUAGE: language}
        monkeypatch.setattr(visit, "house", lambda: here)
        monkeypatch.setattr(visit, "cookie", sent.get)
        if page:
            return AppTest.from_string(f"from web.pages import {page}\n{page}.page()", default_timeout=20).run()
        return AppTest.from_file(str(SCRIPT), default_timeout=20).run()

    return opened


@pytest.fixture(scope="session")
def stub() -> Iterator[StubService]:
    with StubService() as service:
        yield service


@dataclass
class Site:
    """A running `python -m web`."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    def browser(self, **headers: str) -> httpx.Client:
        """A client that keeps cookies and says where its forms come from, as a browser does."""
        return httpx.Client(base_url=self.url, headers={"Origin": self.url, **headers}, timeout=30)

    def member(self) -> tuple[httpx.Client, str]:
        """A browser in which a new user is signed in, and the user's name."""
        client, name = self.browser(), f"user {uuid4().hex[:12]}"
        answer = client.post("/account/register", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return client, name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(home: Path, service: str, **variables: str) -> Site:
    """Start `python -m web` and wait until it answers."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VNYATNO_")}
    environment = kept | {
        "VNYATNO_HOME": str(home),
        "VNYATNO_WEB_PORT": str(port),
        "VNYATNO_WEB_SERVICE": service,
        "PYTHONPATH": str(ROOT),
        **variables,
    }
    process = subprocess.Popen([sys.executable, "-m", "web"], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/_stcore/health").status_code == 200:
                return Site(url, home, process)
        except httpx.TransportError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError(f"the web application did not start ({process.poll()})")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, stub: StubService) -> Iterator[Site]:
    """One server for all tests that go through HTTP; it trusts no proxy."""
    made = start(tmp_path_factory.mktemp("site"), stub.url)
    yield made
    made.process.terminate()
    assert made.process.wait(20) in (0, -15)

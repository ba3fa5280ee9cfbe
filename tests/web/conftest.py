"""What the web application's tests share: real databases, a real server process, a stand-in for the service."""

from __future__ import annotations

import os
import shutil
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

from tests.ports import free_port
from tests.web.service import StubService
from web import cookies, visit
from web.accounts import passwords
from web.database import connect
from web.house import House, build
from web.server import SCRIPT
from web.settings import WebSettings

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []


@pytest.fixture
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Passwords are hashed cheaply; the server process hashes in earnest."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(memory_cost=1_024))
    passwords._nobodys.cache_clear()
    yield
    passwords._nobodys.cache_clear()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server of our own."""
    if not _POSTGRES:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path("/tmp") / f"vnyatno-postgres-{os.getpid()}"
    folder.mkdir(mode=0o700)
    prefix: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]
    port, programs = free_port(), _POSTGRES[-1]
    control = [*prefix, str(programs / "pg_ctl"), "-D", f"{folder}/data", "-s", "-w"]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    make = [*prefix, str(programs / "initdb"), "-D", f"{folder}/data", "-U", "vnyatno", "-A", "trust", "-E", "UTF8"]
    try:
        subprocess.run([*make, "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd="/")
        subprocess.run([*control, "-l", f"{folder}/log", "-o", options, "start"], check=True, cwd="/")
        yield f"postgresql://vnyatno@127.0.0.1:{port}/postgres"
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd="/")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/web/web.sqlite"
    address: str = request.getfixturevalue("cluster")
    database = connect(address)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    database.close()
    return address


@pytest.fixture
def here(tmp_path: Path, url: str, stub: StubService, quick_hashes: None) -> Iterator[House]:
    """A house in a folder and a database of its own, with the stand-in for the service."""
    stub.reset()
    made = build(WebSettings(home=tmp_path, database=url, service=stub.url, service_seconds=5))
    yield made
    made.close()


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

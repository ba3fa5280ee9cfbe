"""What Vnyatno consists of when it runs: commands, their environment, and how to tell that each is ready."""

from __future__ import annotations

import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.addresses import (
    DAGSTER_PORT_VARIABLE,
    HOST_VARIABLE,
    SERVICE_PORT_VARIABLE,
    WEB_HOST_VARIABLE,
    WEB_PORT_VARIABLE,
    Address,
    Addresses,
)
from deploy.front.forwarding import trusting
from deploy.run.processes import MARK
from speech.home import Home, weights_folder

ROOT = Path(__file__).resolve().parents[2]  # the project: every child runs here
DEFINITIONS = ("--module-name", "pipeline.definitions")
LOCATION = "vnyatno"  # the code location's name, as in workspace.yaml
_ANSWER_SECONDS = 2.0
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never ask a proxy for 127.0.0.1


@dataclass(frozen=True)
class Part:
    """One process. It starts when the parts named in `after` are ready; a `task` is ready when it ended with 0.

    Of a `host` it is the children that are asked to end, see `deploy.run.processes.Child`. When one of the parts in
    `ends_with` dies, this part is ended too, and both are started again.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool] = lambda: True
    after: Sequence[str] = ()
    task: bool = False
    host: bool = False
    ends_with: Sequence[str] = ()


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 2xx."""
    try:
        with _LOCAL.open(url, timeout=_ANSWER_SECONDS) as response:
            return 200 <= response.status < 300
    except (urllib.error.URLError, OSError):
        return False


def listens(path: Path) -> bool:
    """Whether somebody accepts connections on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def health_urls(parts: Sequence[Part], addresses: Addresses) -> dict[str, str]:
    """What to ask whether each server of `parts` is alive."""
    urls = {
        "dagster": f"{addresses.dagster.url}/server_info",
        "service": f"{addresses.service.url}/livez",
        "web": f"{addresses.web.url}/_stcore/health",
    }
    if addresses.front:
        urls["proxy"] = f"{addresses.front.http.url}/healthz"
    return {part.name: urls[part.name] for part in parts if part.name in urls}


def listening(parts: Sequence[Part], addresses: Addresses) -> list[Address]:
    """Where the servers of `parts` will listen."""
    front = addresses.front
    where = {
        "dagster": [addresses.dagster],
        "service": [addresses.service],
        "web": [addresses.web],
        "proxy": [front.http, front.https, front.dagster] if front else [],
    }
    return [address for part in parts for address in where.get(part.name, [])]


def dagster_parts(addresses: Addresses, code_socket: Path, definitions: Sequence[str] = DEFINITIONS) -> list[Part]:
    """Code server, web server and daemon; before them, runs that a killed launcher left are put in order."""
    python = sys.executable
    address = addresses.dagster
    workspace = ("-w", str(ROOT / "workspace.yaml"))
    return [
        # Alone and first: the run storage of a fresh data folder breaks when two processes create it at once.
        Part("reconcile", [python, "-m", "deploy.run.reconcile"], task=True),
        Part(
            "code",
            [
                *(python, "-m", "dagster", "api", "grpc", "--socket", str(code_socket), *definitions),
                *("--location-name", LOCATION, "--use-python-environment-entry-point", "--log-level", "warning"),
            ],
            ready=lambda: listens(code_socket),
            after=("reconcile",),
            host=True,
        ),
        Part(
            "dagster",
            [python, "-m", "dagster_webserver", "-h", address.host, "-p", str(address.port), *workspace],
            ready=lambda: answers(f"{address.url}/server_info"),
            after=("code",),
        ),
        # Runs are children of the code server and end with it. Only a daemon that comes after the next code server
        # retries them: one that goes on tries it at once, finds no code server, and gives them up for good. The web
        # server does find the next one by itself.
        Part(
            "daemon",
            # Below warnings the daemon says once a second that a run goes on.
            [python, "-m", "dagster._daemon", "run", "--log-level", "warning", *workspace],
            after=("code",),
            ends_with=("code",),
        ),
    ]


def service_part(addresses: Addresses) -> Part:
    """The prediction service with its workers."""
    return Part("service", [sys.executable, "-m", "api"], ready=lambda: answers(f"{addresses.service.url}/livez"))


def web_part(addresses: Addresses) -> Part:
    """The web application; it asks the service, so it comes after it."""
    command = [sys.executable, "-m", "web"]
    return Part("web", command, ready=lambda: answers(f"{addresses.web.url}/_stcore/health"), after=("service",))


def proxy_part(addresses: Addresses, command: Sequence[str]) -> Part:
    """The proxy before everything; `command` as `deploy.front.prepare` returns it."""
    if addresses.front is None:
        raise AssertionError("a proxy was asked for where none listens")
    url = f"{addresses.front.http.url}/healthz"
    return Part("proxy", command, ready=lambda: answers(url), after=("web", "dagster"))


def environment(
    home: Home, addresses: Addresses, code_socket: Path, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What every child sees: this process's environment, with paths made absolute."""
    return {
        "VNYATNO_WEB_SERVICE": addresses.service.url,  # unless another one is named
        **inherited,
        **(trusting(inherited, ROOT / "configs" / "service.yaml") if addresses.front else {}),
        MARK: str(home.root),
        "VNYATNO_HOME": str(home.root),
        "VNYATNO_WEIGHTS": str(weights_folder()),
        "VNYATNO_CODE_SOCKET": str(code_socket),
        "TMPDIR": str(code_socket.parent),  # removed at the end, with what killed processes left in it
        HOST_VARIABLE: addresses.service.host,
        DAGSTER_PORT_VARIABLE: str((addresses.front or addresses).dagster.port),
        SERVICE_PORT_VARIABLE: str(addresses.service.port),
        WEB_HOST_VARIABLE: addresses.web.host,
        WEB_PORT_VARIABLE: str(addresses.web.port),
        "DAGSTER_HOME": str(home.dagster),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }

"""Caddy's configuration: `Caddyfile` beside this, with addresses, certificate and login as its variables."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.addresses import Address, Addresses, Front
from deploy.front.login import Login
from deploy.front.settings import FrontError

CADDYFILE = Path(__file__).parent / "Caddyfile"
_SECONDS = 60  # for Caddy to read a configuration


@dataclass(frozen=True)
class Files:
    """Certificate and key in PEM; both may be one file."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Automatic:
    """Certificates of a CA that speaks ACME, renewed by themselves."""

    domains: Sequence[str]
    email: str
    ca: str


def variables(
    addresses: Addresses,
    front: Front,
    certificate: Files | Automatic,
    login: Login | None,
    store: Path,
    outer: Sequence[str] = (),
) -> dict[str, str]:
    """The Caddyfile's variables. `store`: where Caddy keeps certificates; `outer`: networks of proxies before it."""
    domains = certificate.domains if isinstance(certificate, Automatic) else ("",)
    given = {
        "VNYATNO_HOST": front.https.host,
        "VNYATNO_HTTP_PORT": str(front.http.port),
        "VNYATNO_HTTPS_PORT": str(front.https.port),
        "PROXY_HTTPS_SUFFIX": "" if front.https.port == 443 else f":{front.https.port}",
        "PROXY_PAGES_SITES": ", ".join(f"https://{name}:{front.https.port}" for name in domains),
        "PROXY_DAGSTER_SITES": ", ".join(f"https://{name}:{front.dagster.port}" for name in domains),
        "PROXY_DAGSTER_LISTENS": _host_and_port(front.dagster),
        "PROXY_SERVICE": addresses.service.url.removeprefix("http://"),
        "PROXY_WEB": addresses.web.url.removeprefix("http://"),
        "PROXY_DAGSTER": addresses.dagster.url.removeprefix("http://"),
        "PROXY_STORE": str(store),
        "PROXY_OUTER_PROXIES": " ".join(outer),
        "PROXY_LOGIN": "on" if login else "off",
    }
    if login:
        given |= {"VNYATNO_DAGSTER_USER": login.user, "PROXY_DAGSTER_HASH": login.hash}
    if isinstance(certificate, Automatic):
        ca = {"VNYATNO_ACME_EMAIL": certificate.email, "VNYATNO_ACME_CA": certificate.ca}
        return given | ca | {"PROXY_CERTIFICATE": "acme"}
    files = {"VNYATNO_TLS_CERT": str(certificate.certificate), "VNYATNO_TLS_KEY": str(certificate.key)}
    return given | files | {"PROXY_CERTIFICATE": "file"}


def adapted(program: str, given: dict[str, str]) -> dict[str, Any]:
    """The whole configuration in Caddy's native form, JSON. Raises `FrontError` with Caddy's own words.

    Caddy is started with this and not with the Caddyfile: of Debian's version the latter cannot say that nothing is to
    be kept beside the data folder, and the password's hash would be.
    """
    for name, text in given.items():
        if "`" in text or "\n" in text:  # it would end the text that it stands in
            raise FrontError(f"{name} holds a backtick or the end of a line, which the proxy cannot read")
    command = [program, "adapt", "--adapter", "caddyfile", "--config", str(CADDYFILE)]
    value: dict[str, Any] = json.loads(_said(command, os.environ | given))
    value["admin"] = {"disabled": True, "config": {"persist": False}}
    return value


def validate(program: str, path: Path) -> None:
    """Raise `FrontError` with Caddy's own words, say of a key that does not fit its certificate."""
    _said([program, "validate", "--config", str(path)], dict(os.environ))


def _said(command: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise FrontError(f"the proxy cannot be started: {lines[-1] if lines else f'caddy {command[1]} failed'}")
    return done.stdout


def _host_and_port(address: Address) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"

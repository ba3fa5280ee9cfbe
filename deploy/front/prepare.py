"""Makes the proxy ready to be started: its program, its certificate, its login, its configuration."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.addresses import PROXY_VARIABLE, Addresses
from deploy.front.certificate import self_made
from deploy.front.configuration import Automatic, Files, adapted, validate, variables
from deploy.front.forwarding import outer_proxies
from deploy.front.login import Login, dagster_login
from deploy.front.settings import FrontError, FrontSettings, read_front
from speech.files import write_atomically
from speech.home import Home

SERVICE_CONFIG = Path(__file__).resolve().parents[2] / "configs" / "service.yaml"


@dataclass(frozen=True)
class Prepared:
    """`command` starts the proxy. `login` is None where Dagster asks for no password."""

    command: tuple[str, ...]
    login: Login | None
    certificate: str
    """What kind it is, for people."""


def prepare(home: Home, addresses: Addresses, environment: Mapping[str, str] = os.environ) -> Prepared | None:
    """What `VNYATNO_HOME/proxy` must hold, written; None where no proxy is wanted. Raises `FrontError`, `OSError`."""
    if addresses.front is None:
        return None
    program = shutil.which("caddy", path=environment.get("PATH"))
    if program is None:
        raise FrontError(f"{PROXY_VARIABLE}=on needs the program caddy; install Debian's package, or set it to off")
    settings = read_front(environment)
    folder = home.root / "proxy"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    login = dagster_login(settings, folder, program)
    certificate = _certificate(settings, folder)
    outer = outer_proxies(environment, SERVICE_CONFIG)
    given = variables(addresses, addresses.front, certificate, login, folder / "caddy", outer)
    path = folder / "caddy.json"
    write_atomically(path, json.dumps(adapted(program, given), indent=1), 0o600)
    validate(program, path)
    return Prepared((program, "run", "--config", str(path)), login, _kind(settings, folder))


def _certificate(settings: FrontSettings, folder: Path) -> Files | Automatic:
    if settings.certificate and settings.key:
        return Files(settings.certificate, settings.key)
    if settings.domains:
        return Automatic(settings.domains, settings.email, settings.ca)
    made = self_made(folder, settings.names)
    return Files(made, made)


def _kind(settings: FrontSettings, folder: Path) -> str:
    if settings.certificate:
        return f"from {settings.certificate}"
    if settings.domains:
        return f"by ACME for {', '.join(settings.domains)}"
    return f"self-made, browsers warn once: {folder / 'certificate.crt'}"

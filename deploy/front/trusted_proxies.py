"""Which proxies are believed about where a request came from: ours, and those that the user names."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import yaml

SERVICE_VARIABLE = "VNYATNO_TRUSTED_PROXIES"
WEB_VARIABLE = "VNYATNO_WEB_TRUSTED_PROXIES"
CONFIG_VARIABLE = "VNYATNO_SERVICE_CONFIG"
_OURS = ("127.0.0.1/32", "::1/128")  # the proxy asks from the machine itself


def outer_proxies(environment: Mapping[str, str], default: Path) -> list[str]:
    """Networks of proxies before ours, as the service's setting `trusted_proxies` names them.

    What is no network is left out: the service says so itself when it starts.
    """
    if given := environment.get(SERVICE_VARIABLE):
        return [part.strip() for part in given.split(",") if _is_network(part.strip())]
    try:
        settings = yaml.safe_load(Path(environment.get(CONFIG_VARIABLE) or default).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    listed = settings.get("trusted_proxies") if isinstance(settings, dict) else None
    return [str(part) for part in listed if _is_network(str(part))] if isinstance(listed, list) else []


def trusting(environment: Mapping[str, str], default: Path) -> dict[str, str]:
    """Environment variables by which service and web application believe the proxy, and those before it."""
    outer = outer_proxies(environment, default)
    web = [part.strip() for part in environment.get(WEB_VARIABLE, "").split(",") if part.strip()]
    return {SERVICE_VARIABLE: ",".join([*_OURS, *outer]), WEB_VARIABLE: ",".join([*_OURS, *(web or outer)])}


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True

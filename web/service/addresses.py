"""Where people reach the service and Dagster, as far as this site can know."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")
_LOCAL = ("127.0.0.1", "localhost", "::1", "0.0.0.0")


def service_address(public: str, internal: str, page: str) -> str:
    """`public` where it is set. Else what this site itself asks, unless that is on this machine: then the host of the
    page that is looked at; with its port where that is a usual one, since a proxy passes /api on, else the service's.
    """
    if public:
        return public.rstrip("/")
    inside = urlsplit(internal)
    if inside.hostname not in _LOCAL:
        return internal.rstrip("/")
    origin = _origin(page)
    if origin is None:
        return internal.rstrip("/")
    scheme, host, port = origin
    return f"{scheme}://{host}" if port is None else f"{inside.scheme}://{host}:{inside.port or 80}"


def dagster_address(public: str, port: int, secure: bool, page: str) -> str:
    """`public` where it is set, else Dagster's port of the host of the page that is looked at; `secure`: by HTTPS,
    however the page itself came.
    """
    origin = _origin(page)
    host = origin[1] if origin else "127.0.0.1"
    return public or f"{'https' if secure else 'http'}://{host}:{port}"


def _origin(page: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port (None: the scheme's own); None for what is no address that may stand in a command."""
    try:
        parts = urlsplit(page)
        port, host = parts.port, parts.netloc.rpartition("@")[2]
    except ValueError:
        return None
    host = host if host.endswith("]") else re.sub(r":\d*$", "", host)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return None
    return parts.scheme, host, None if port in (None, 80, 443) else port

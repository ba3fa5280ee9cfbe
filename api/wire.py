"""What the HTTP server itself must not do. BentoML leaves these settings of uvicorn at their defaults."""

from __future__ import annotations

import os

from uvicorn.config import HTTP_PROTOCOLS

from api.connections import Connection
from api.settings import ServiceSettings


def harden(settings: ServiceSettings) -> None:
    """Called in a worker before its server is configured."""
    # By default uvicorn believes X-Forwarded-For from 127.0.0.1 and puts it in the place of the socket's address, so
    # that any program here could choose its address. `api.peers` reads that header, by the service's own settings.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    # httptools keeps headers without end, so one client could fill memory; h11 refuses more than 64 KiB of them.
    # `Connection` is h11 with limits to how long a request may take to arrive.
    Connection.bound(settings)
    HTTP_PROTOCOLS["auto"] = "api.connections:Connection"

"""What changes the service, and who may: rollback."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.bundles import data_home
from api.problems import Problem, described
from speech.bundle import BundleError
from speech.gate import GateRefused
from speech.publishing import NoPreviousError, PointerError, PointerMovedError, rollback

# Set by proxies, and taken by the server for the peer's address: where one stands, nobody knows who asks.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_LOCAL_ONLY = "only clients on the machine where the service runs may do this; run `make rollback` there"

_EXAMPLE: dict[str, JsonValue] = {
    "current": "defects-0f9e8d7c6b5a",
    "previous": "defects-1a2b3c4d5e6f",
    "published": "2025-03-02T08:00:00.123456+00:00",
    "in_service": "defects-1a2b3c4d5e6f",
}


class RolledBack(BaseModel):
    """The pointer after a rollback. Every worker loads `current` and swaps within seconds; until then it serves what
    it has."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    current: str = Field(description="Id of the bundle that is to serve from now on")
    previous: str = Field(description="Id of the bundle that served; the next rollback returns to it")
    published: str = Field(description="When this was decided; UTC, ISO 8601")
    in_service: str | None = Field(
        description="Id of the bundle that this worker serves at this moment, mostly still the old one; see /api/model"
    )


def administrator(request: Request) -> str:
    """Who asks, for the history; raises `Problem` 403 for anybody but a client on this machine.

    The socket's peer decides. A header can only speak against a client: one that a proxy sets, since then the peer is
    the proxy, or the origin of a web page elsewhere whose script runs in a browser here.
    """
    peer = request.client.host if request.client else ""
    if not _is_loopback(peer) or any(name in request.headers for name in _FORWARDED):
        raise Problem(403, "local_only", _LOCAL_ONLY)
    origin = request.headers.get("origin")
    if origin is not None and not _is_local_page(origin):
        raise Problem(403, "local_only", "a web page of another site may not do this")
    return peer


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def _is_local_page(origin: str) -> bool:
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    return host == "localhost" or _is_loopback(host)


router = APIRouter(prefix="/api", tags=["administration"])


@router.post(
    "/model/rollback",
    response_model=RolledBack,
    responses=described(
        [
            Problem(403, "local_only", _LOCAL_ONLY),
            Problem(409, "no_previous", "no bundle served before defects-1a2b3c4d5e6f, so there is none to go back to"),
            Problem(409, "bundle_refused", "defects-0f9e8d7c6b5a/model.safetensors was changed or cut off"),
            Problem(409, "pointer_moved", "defects-1a2b3c4d5e6f no longer serves; look again which bundle does"),
            Problem(409, "pointer_broken", "/data/serving/defects.yaml names no current bundle"),
            Problem(503, "starting", "the service is starting"),
        ]
    ),
    summary="Put the bundle that served before into service again",
)
def roll_back(request: Request, who: Annotated[str, Depends(administrator)]) -> RolledBack:  # not async: it reads files
    """The bundle that served before is verified, passes the gate again, and serves; once more returns.

    Where it is refused, the service stays as it is, and `detail` says why.
    """
    home = data_home(request)
    try:
        pointer = rollback(home, by=f"POST /api/model/rollback from {who}")
    except NoPreviousError as error:
        raise Problem(409, "no_previous", str(error)) from error
    except PointerMovedError as error:
        raise Problem(409, "pointer_moved", str(error)) from error
    except PointerError as error:
        raise Problem(409, "pointer_broken", f"{error}; publish a bundle to write it anew") from error
    except (BundleError, GateRefused) as error:
        raise Problem(409, "bundle_refused", f"the service stays as it is: {error}") from error
    serving = request.app.state.engine.loader.state.serving
    return RolledBack(
        current=pointer.current,
        previous=str(pointer.previous),
        published=pointer.published,
        in_service=serving.bundle.id if serving else None,
    )

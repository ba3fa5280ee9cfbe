"""The container's side of Vertex AI: the service alone, on the port and with the bundle that Vertex names.

Vertex sets AIP_HTTP_PORT, AIP_STORAGE_URI, and the routes, which `api.routes.vertex` answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.addresses import HOST_VARIABLE, PROXY_VARIABLE, SERVICE_PORT_VARIABLE, AddressError

PORT_VARIABLE, STORAGE_VARIABLE = "AIP_HTTP_PORT", "AIP_STORAGE_URI"


@dataclass(frozen=True)
class VertexContainer:
    """What Vertex asks of this container; `storage_uri` is empty where it names no bundle."""

    port: str
    storage_uri: str

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment in which the service listens where Vertex asks."""
        return {**inherited, HOST_VARIABLE: "0.0.0.0", SERVICE_PORT_VARIABLE: self.port, PROXY_VARIABLE: "off"}


def read_container(environment: Mapping[str, str]) -> VertexContainer | None:
    """None outside Vertex. Raises `AddressError`."""
    port = environment.get(PORT_VARIABLE, "")
    if not port:
        return None
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise AddressError(f"{PORT_VARIABLE}={port!r} is no port; Vertex AI sets a whole number from 1 to 65535")
    return VertexContainer(port, environment.get(STORAGE_VARIABLE, ""))

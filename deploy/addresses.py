"""Where the servers listen, read from the environment, and whether they can."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psutil

HOST_VARIABLE = "VNYATNO_HOST"
DAGSTER_PORT_VARIABLE = "VNYATNO_DAGSTER_PORT"
INNER_PORT_VARIABLE = "VNYATNO_DAGSTER_INNER_PORT"
SERVICE_PORT_VARIABLE = "VNYATNO_SERVICE_PORT"
WEB_HOST_VARIABLE = "VNYATNO_WEB_HOST"
WEB_PORT_VARIABLE = "VNYATNO_WEB_PORT"
PROXY_VARIABLE = "VNYATNO_PROXY"
HTTP_PORT_VARIABLE = "VNYATNO_HTTP_PORT"
HTTPS_PORT_VARIABLE = "VNYATNO_HTTPS_PORT"
_LOOKS, _LOOK_SECONDS = 10, 0.1
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # not addresses a client can connect to


class AddressError(ValueError):
    """A server cannot listen where it should; the message names the port and the variable that changes it."""


@dataclass(frozen=True)
class Address:
    """Where one server listens; `variable` is the environment variable that moves it."""

    name: str
    variable: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """For clients on this machine, without a slash at the end."""
        host = _EVERYWHERE.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True)
class Front:
    """Where the proxy listens: plain HTTP, HTTPS, and HTTPS with a password before Dagster."""

    http: Address
    https: Address
    dagster: Address


@dataclass(frozen=True)
class Addresses:
    """Dagster's web server, the prediction service, the web application, and the proxy before them if there is one."""

    dagster: Address
    service: Address
    web: Address
    front: Front | None = None


def read_addresses(environment: Mapping[str, str] = os.environ, front: bool = True) -> Addresses:
    """The addresses of this environment: 127.0.0.1, 3000, 8000 and 8501 unless told otherwise.

    With `VNYATNO_PROXY=on` and `front` the proxy has 80, 443 and Dagster's port, and Dagster itself listens behind it
    on 127.0.0.1 alone. Raises `AddressError`.
    """
    host = environment.get(HOST_VARIABLE) or "127.0.0.1"

    def at(name: str, variable: str, default: int, where: str = host) -> Address:
        return Address(name, variable, where, _port(environment, variable, default))

    dagster = at("Dagster", DAGSTER_PORT_VARIABLE, 3000)
    service = at("the service", SERVICE_PORT_VARIABLE, 8000)
    web = at("the web application", WEB_PORT_VARIABLE, 8501, environment.get(WEB_HOST_VARIABLE) or host)
    if not (front and _proxied(environment)):
        _require_different([dagster, service, web])
        return Addresses(dagster, service, web)
    http = at("the proxy's HTTP", HTTP_PORT_VARIABLE, 80)
    https = at("the proxy's HTTPS", HTTPS_PORT_VARIABLE, 443)
    inner = at("Dagster behind the proxy", INNER_PORT_VARIABLE, 3001, "127.0.0.1")
    _require_different([dagster, service, web, http, https, inner])
    return Addresses(inner, service, web, Front(http, https, dagster))


def require_free(addresses: Iterable[Address]) -> None:
    """Raise `AddressError` for the first address on which nobody could listen now."""
    for address in addresses:
        _require_free(address)


def _proxied(environment: Mapping[str, str]) -> bool:
    text = environment.get(PROXY_VARIABLE) or "off"
    if text not in ("on", "off"):
        raise AddressError(f"{PROXY_VARIABLE}={text!r}; give `on` or `off`")
    return text == "on"


def _require_different(addresses: Sequence[Address]) -> None:
    for index, one in enumerate(addresses):
        for other in addresses[index + 1 :]:
            if one.port == other.port:
                raise AddressError(
                    f"{one.name} and {other.name} were both given port {one.port}; "
                    f"set {one.variable} or {other.variable} to another one"
                )


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    try:
        port = int(text)
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise AddressError(f"{variable}={text!r} is no port; give a whole number from 1 to 65535")
    return port


def _require_free(address: Address) -> None:
    """Raises `AddressError` for a port that stays taken: one whose owner was just ended is given back in a moment."""
    refused = _bound(address)
    for _ in range(_LOOKS):
        if refused is None or refused.errno != errno.EADDRINUSE:
            break
        time.sleep(_LOOK_SECONDS)
        refused = _bound(address)
    if refused is not None:
        raise AddressError(_refusal(address, refused)) from refused


def _bound(address: Address) -> OSError | None:
    """What stands in the way of listening on an address; None where nothing does."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do themselves: a port whose last owner ended a moment ago counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
            probe.listen(1)
        except OSError as error:
            return error
        except UnicodeError as error:  # a host that is no name
            return OSError(errno.EINVAL, str(error))
    return None


def _refusal(address: Address, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return (
            f"port {address.port}, meant for {address.name}, is in use by {_holder(address.port)}; "
            f"stop that, or set {address.variable} to another port"
        )
    if code == errno.EACCES:
        return (
            f"port {address.port}, meant for {address.name}, needs more rights than this user has; "
            f"set {address.variable} to a port from 1024 on"
        )
    return f"{address.name} cannot listen on {address.host}, port {address.port} ({error}); check {HOST_VARIABLE}"


def _holder(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "another program"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline())
            except psutil.Error:
                continue
            return f"process {connection.pid} ({command[:100]})"
    return "another program"

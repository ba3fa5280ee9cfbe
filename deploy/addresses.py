"""Where the servers listen, read from the environment, and whether they can."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

HOST_VARIABLE = "VNYATNO_HOST"
DAGSTER_PORT_VARIABLE = "VNYATNO_DAGSTER_PORT"
SERVICE_PORT_VARIABLE = "VNYATNO_SERVICE_PORT"
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
class Addresses:
    """Dagster's web server and the prediction service."""

    dagster: Address
    service: Address


def read_addresses(environment: Mapping[str, str] = os.environ) -> Addresses:
    """The addresses of this environment: 127.0.0.1, 3000 and 8000 unless told otherwise. Raises `AddressError`."""
    host = environment.get(HOST_VARIABLE) or "127.0.0.1"
    addresses = Addresses(
        Address("Dagster", DAGSTER_PORT_VARIABLE, host, _port(environment, DAGSTER_PORT_VARIABLE, 3000)),
        Address("the service", SERVICE_PORT_VARIABLE, host, _port(environment, SERVICE_PORT_VARIABLE, 8000)),
    )
    if addresses.dagster.port == addresses.service.port:
        raise AddressError(
            f"Dagster and the service were both given port {addresses.dagster.port}; "
            f"set {DAGSTER_PORT_VARIABLE} or {SERVICE_PORT_VARIABLE} to another one"
        )
    return addresses


def require_free(addresses: Iterable[Address]) -> None:
    """Raise `AddressError` for the first address on which nobody could listen now."""
    for address in addresses:
        _require_free(address)


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

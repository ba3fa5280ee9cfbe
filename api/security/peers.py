"""Who is at the other end: the address that a request came from, and whether it came from this machine.

The address is the socket's. What a client writes into X-Forwarded-For it may have invented, so that is read only where
the socket's address is a proxy named in the setting `trusted_proxies`.

`local` opens doors, so it is narrower than "the address is 127.0.0.1". It is not given to what was forwarded, since any
stranger's request comes from a proxy on this machine, nor to what a page of another site has a browser on this machine
send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip")


@dataclass(frozen=True)
class Peer:
    """`address` is None where it cannot be known; `local`: a direct request from this machine."""

    address: Address | None
    local: bool


def peer_of(connection: HTTPConnection, trusted_proxies: Sequence[Network] = ()) -> Peer:
    """Who sent a request; of several proxies' addresses the right-most that is not trusted counts."""
    socket = parse_address(connection.client.host) if connection.client else None
    headers = connection.headers
    if socket is None:
        return Peer(None, False)
    if not any(name in headers for name in _FORWARDING):
        return Peer(socket, socket.is_loopback and not _of_another_site(headers))
    if not _trusted(socket, trusted_proxies):
        return Peer(socket, False)
    address: Address | None = socket
    for text in reversed(",".join(headers.getlist("x-forwarded-for")).split(",")):
        if not text.strip():
            continue
        address = parse_address(text)
        if address is None or not _trusted(address, trusted_proxies):
            break
    return Peer(address, False)


def parse_address(text: str) -> Address | None:
    """An IP address as sockets and proxies write it, with or without a port; None where it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _trusted(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _of_another_site(headers: Headers) -> bool:
    """Whether a browser sends this for a page that does not itself come from this machine."""
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return True
    if host == "localhost":
        return False
    address = parse_address(host) if host else None
    return address is None or not address.is_loopback

"""Who is at the other end: the address that a request came from, and whether it came from this machine.

The address is the socket's. What a client writes into X-Forwarded-For it may have invented, so that is read only where
the socket's address is a proxy named in the setting `trusted_proxies`.

`local` opens doors, so it is narrower than "the address is 127.0.0.1". It is not given to what was forwarded, since any
stranger's request comes from a proxy on this machine, nor to what a page of another site has a browser on this machine
send. Host must name this machine as well: a page whose own name was made to lead to 127.0.0.1 (DNS rebinding) sends no
Origin when it reads, and proxies that add no header of their own mostly pass on the Host that strangers asked for. A
proxy that puts in this machine's, as nginx does unless told otherwise, speaks HTTP/1.0 then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# Headers by which proxies and tunnels are known, besides all that begin with `_FORWARDED`.
_FORWARDING = {
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-original-forwarded-for",
    "x-real-ip",
}
_FORWARDED = "x-forwarded"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/\s]+)(?::\d*)?")


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
    if not any(name in _FORWARDING or name.startswith(_FORWARDED) for name in headers):
        direct = connection.scope.get("http_version") != "1.0" and _asks_for_this_machine(headers)
        return Peer(socket, socket.is_loopback and direct and not _of_another_site(headers))
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
    return host is None or not _is_this_machine(host)


def _asks_for_this_machine(headers: Headers) -> bool:
    """Whether the request names this machine as the one that it was sent to, and no other."""
    hosts = [_HOST.fullmatch(text.strip().lower()) for text in headers.getlist("host")]
    return bool(hosts) and all(host is not None and _is_this_machine(host.group(1)) for host in hosts)


def _is_this_machine(host: str) -> bool:
    if host.removesuffix(".") == "localhost":
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback

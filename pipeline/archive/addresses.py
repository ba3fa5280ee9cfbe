"""Keeps downloads out of the private network: names are checked before asking, and sockets when they connect.

A name is resolved and checked for every request and redirect, which gives the clear message. Since the name may
resolve to something else a moment later (DNS rebinding), and since gdown makes its own connections, the address a
socket really connects to is checked as well, by an audit hook of the interpreter that is active only inside `fence`.

Proxies from the environment (`HTTPS_PROXY`, `NO_PROXY`, …) are whoever runs the pipeline's own choice and stay in
force: connecting to the proxy itself is allowed. The proxy then resolves the names, so the check of the connected
address is the proxy's to make; names are still checked here as far as this machine can resolve them.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy

from speech.archives.errors import ForbiddenSource, SourceNotFound

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PROXY_PORTS = {"http": 80, "https": 443}
_SOCKS_PORT = 1080
MAX_REDIRECTS = 10
"""Browsers allow 20; file hosts use two or three."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(text: str) -> bool:
    """Whether `text`, a numeric address, belongs to the public internet.

    Loopback, private, link-local, shared (CGNAT), unique-local, site-local, multicast and reserved addresses do not,
    nor do IPv6 addresses that carry such an IPv4 address (mapped, NAT64, 6to4, Teredo).
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local:
            return False
        carried = _carried_ipv4(address)
        if carried is not None:
            return is_public(str(carried))
    return address.is_global and not address.is_multicast


def _carried_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _refusal(source: str, host: str, address: str) -> ForbiddenSource:
    where = host if host == address else f"{host} ({address})"
    return ForbiddenSource(
        source,
        f"{where} is an address of the private network",
        "Give a public link, or set allow_private_network if this server may be downloaded from",
    )


def check_host(source: str, host: str, proxied: bool = False) -> None:
    """Raise unless every address that `host` resolves to is public.

    With `proxied` a name that this machine cannot resolve passes: the proxy resolves it. It also passes while no name
    server answers.

    Raises:
        ForbiddenSource: an address belongs to the private network.
        SourceNotFound: no such name.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        # A name server that does not answer says nothing about the name: connecting will fail, and be tried again.
        if proxied or getattr(error, "errno", None) == socket.EAI_AGAIN:
            return
        raise SourceNotFound(
            source, f"the server name {host} is not known", "Check the link for typing errors"
        ) from error
    for *_, sockaddr in found:
        if not is_public(str(sockaddr[0])):
            raise _refusal(source, host, str(sockaddr[0]))


@dataclass(frozen=True)
class _Fence:
    source: str
    proxies: frozenset[tuple[str, int]]


_fence: ContextVar[_Fence | None] = ContextVar("fence", default=None)
_hooked = False


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _check_connect(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or (inside := _fence.get()) is None:
        return
    connection, address = arguments
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    host, port = str(address[0]), int(address[1])
    if (host, port) not in inside.proxies and not (_is_numeric(host) and is_public(host)):
        raise _refusal(inside.source, host, host)


def _proxy_addresses() -> frozenset[tuple[str, int]]:
    """Address and port of every proxy that the environment names, as far as they resolve."""
    found: set[tuple[str, int]] = set()
    for scheme, url in getproxies().items():
        if scheme == "no":
            continue
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port or _PROXY_PORTS.get(parts.scheme, _SOCKS_PORT)
            if not parts.hostname:
                continue
            resolved = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except (ValueError, socket.gaierror):
            continue  # the connection to it will fail and say so
        # SOCKS clients connect by name, others by address.
        found.add((parts.hostname, port))
        found.update((str(sockaddr[0]), port) for *_, sockaddr in resolved)
    return frozenset(found)


@contextmanager
def fence(source: str, allow_private_network: bool) -> Iterator[None]:
    """Within the block, connecting to the private network from this thread raises ForbiddenSource.

    `source` is named in the message. With `allow_private_network` nothing is checked.
    """
    global _hooked
    if allow_private_network:
        yield
        return
    if not _hooked:
        # Audit hooks cannot be removed, so it is set once, when first needed; outside a fence it does nothing.
        sys.addaudithook(_check_connect)
        _hooked = True
    token = _fence.set(_Fence(source, _proxy_addresses()))
    try:
        yield
    finally:
        _fence.reset(token)


class _CheckedAdapter(HTTPAdapter):
    """Checks the host of every request it sends, redirects included."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        proxies = kwargs.get("proxies") or {}
        check_host(
            self._source,
            urlsplit(str(request.url)).hostname or "",
            proxied=bool(select_proxy(str(request.url), proxies)),
        )
        return super().send(request, *args, **kwargs)


def open_session(source: str, allow_private_network: bool) -> requests.Session:
    """A session for http and https; unless `allow_private_network` it checks the host of every request and redirect.

    Use it inside `fence`, which checks the connected addresses.
    """
    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    # The bytes counted must be the file's own, or a download could not be continued.
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": "vnyatno"})
    if not allow_private_network:
        for prefix in ("http://", "https://"):
            session.mount(prefix, _CheckedAdapter(source))
    return session

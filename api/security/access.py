"""Who may do what.

    predict     open to all until the list of keys names one with the role `predict`, revoked or not: taking back the
                last key of all must not open the service. From then on it needs a key; where the setting
                `open_on_localhost` is on, requests from this machine need none.
    the rest    whatever changes something, and the metrics at /metrics: a key with the role `admin` or, where the
                setting `administered_on_localhost` is on, a request from this machine.

`predictor` and `administrator` are FastAPI dependencies. FastAPI reads a request's body before it asks them. So
`AccessMiddleware` asks for predictions first: a stranger must not send megabytes or hold a place before being turned
away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_network
from typing import Annotated

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from api.intake.limits import discard
from api.intake.problems import SEND_KEY, Problem, answer
from api.security.keyring import Keyring
from api.security.keys import Key, KeyFileError, find
from api.security.peers import Address, Peer, peer_of
from api.security.rates import Allowance, Buckets
from api.settings import ServiceSettings
from calls.archive import LOCAL
from speech.home import Home

_CHALLENGE = 'Bearer realm="vnyatno"'
# Where `AccessMiddleware` leaves its answer in a request's scope, so that one request counts once.
_ADMITTED = "vnyatno.admitted"
_IPV6_PREFIX = 64  # what one household or one rented machine has; a rate per address of it would be none

_BEARER = HTTPBearer(auto_error=False, description="A key; needed where the service has any")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, for clients without Bearer")


@dataclass(frozen=True)
class Admitted:
    """A request that may go on: the name of its key, None without one, and headers for its answer."""

    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Access:
    """One worker's view of who may do what."""

    def __init__(self, settings: ServiceSettings, home: Home) -> None:
        self._settings = settings
        self._keyring = Keyring(home)
        self._buckets = Buckets(settings.workers)

    def predictor(self, connection: HTTPConnection) -> Admitted:
        """Let a prediction in. Raises `Problem` 401, 429, or 503 where the list of keys cannot be read."""
        peer = self._peer(connection)
        if peer.local and self._settings.open_on_localhost:
            return Admitted()
        keys = self._keys()
        if any(key.role == "predict" for key in keys):
            return self._charged(_key(connection, keys))
        return self._without_key(peer)

    def administrator(self, connection: HTTPConnection) -> Admitted:
        """Let in what changes something. Raises `Problem` 401, 403, 429 or 503."""
        if self._settings.administered_on_localhost and self._peer(connection).local:
            return Admitted()
        key = _key(connection, self._keys())
        if key.role != "admin":
            detail = f"the key {key.name!r} may only predict; this needs one with the role admin"
            raise Problem(403, "forbidden_role", detail)
        return self._charged(key)

    def owner(self, connection: HTTPConnection) -> Admitted:
        """Let in who may have batches: whoever shows a key, and this machine without one. Reading costs a key nothing
        of its rate. Raises `Problem` 401, 429 or 503."""
        if self._peer(connection).local and self._settings.open_on_localhost and not _token(connection):
            return Admitted()
        key = _key(connection, self._keys())
        return Admitted(key.name) if connection.scope["method"] == "GET" else self._charged(key)

    def _peer(self, connection: HTTPConnection) -> Peer:
        return peer_of(connection, self._settings.trusted_proxies)

    def close(self) -> None:
        """End what follows the list of keys."""
        self._keyring.close()

    def _keys(self) -> tuple[Key, ...]:
        try:
            return tuple(self._keyring.current())
        except KeyFileError as error:  # the log says which file and why; strangers need not know
            detail = (
                "the service cannot read its list of keys, so it lets nobody in; whoever runs it finds why in its log"
            )
            raise Problem(503, "keys_unreadable", detail, {"Retry-After": "30"}) from error

    def _charged(self, key: Key) -> Admitted:
        allowance = self._buckets.take(key.hash, key.per_minute)
        _require_rate(allowance, f"the key {key.name!r} has made its {key.per_minute} requests a minute")
        return Admitted(key.name, allowance.headers)

    def _without_key(self, peer: Peer) -> Admitted:
        per_minute = self._settings.address_per_minute
        if not per_minute:
            return Admitted()
        allowance = self._buckets.take(_network(peer.address), per_minute)
        _require_rate(allowance, f"this address has made its {per_minute} requests a minute")
        return Admitted(headers=allowance.headers)


class AccessMiddleware:
    """Asks who sends something before a byte of the body is read."""

    def __init__(self, app: ASGIApp, asks: Mapping[str, Callable[[HTTPConnection], Admitted]]) -> None:
        """`asks`: by path, what lets a POST to it in, or raises `Problem`."""
        self._app = app
        self._asks = asks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in self._asks and scope["method"] == "POST":
            try:
                scope[_ADMITTED] = self._asks[scope["path"]](HTTPConnection(scope))
            except Problem as problem:
                if "expect" not in HTTPConnection(scope).headers:  # who asks first has sent nothing yet
                    await discard(receive)
                await answer(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _documented(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    header: Annotated[str | None, Security(_HEADER)],
) -> None:
    """Puts both ways of sending a key into the API's description."""


async def predictor(request: Request, response: Response, _: Annotated[None, Depends(_documented)]) -> Admitted:
    """Dependency of routes that predict. Raises `Problem` as `Access.predictor` does."""
    admitted: Admitted = request.scope.get(_ADMITTED) or request.app.state.access.predictor(request)
    response.headers.update(admitted.headers)
    return admitted


async def owner(request: Request, response: Response, _: Annotated[None, Depends(_documented)]) -> str:
    """Dependency of batches' routes: whose batches are meant. Raises `Problem` as `Access.owner` does."""
    admitted: Admitted = request.scope.get(_ADMITTED) or request.app.state.access.owner(request)
    response.headers.update(admitted.headers)
    return LOCAL if admitted.key is None else f"key:{admitted.key}"


async def administrator(request: Request, response: Response, _: Annotated[None, Depends(_documented)]) -> Admitted:
    """Dependency of routes that change something or show metrics. Raises `Problem` as `Access.administrator` does."""
    admitted: Admitted = request.app.state.access.administrator(request)
    response.headers.update(admitted.headers)
    return admitted


def _token(connection: HTTPConnection) -> str:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        token = connection.headers.get("x-api-key", "")
    return token.strip()


def _key(connection: HTTPConnection, keys: tuple[Key, ...]) -> Key:
    """The key that a request shows. Raises `Problem` 401."""
    token = _token(connection)
    if not token:
        raise _unauthorized("key_missing", f"this needs a key; {SEND_KEY}")
    key = find(keys, token)
    # One way from here on for both refusals, and all keys were compared for both: their times are alike.
    code, detail = "key_unknown", f"the key is not known to this service; {SEND_KEY}"
    if key is not None and key.revoked is not None:
        code, detail = "key_revoked", f"the key was revoked; {SEND_KEY}"
    if key is None or key.revoked is not None:
        raise _unauthorized(code, detail, ', error="invalid_token"')
    return key


def _unauthorized(code: str, detail: str, error: str = "") -> Problem:
    return Problem(401, code, detail, {"WWW-Authenticate": _CHALLENGE + error})


def _require_rate(allowance: Allowance, what: str) -> None:
    if allowance.wait:
        raise Problem(429, "rate_limited", f"{what}; try again in {allowance.wait} s", allowance.headers)


def _network(address: Address | None) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), _IPV6_PREFIX), strict=False))
    return str(address)

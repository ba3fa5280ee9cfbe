"""Caddy's configuration (JSON, its native form), made from addresses, certificate and login."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.addresses import Address, Addresses, Front
from deploy.front.login import Login

_SERVICE_PATHS = ["/api", "/api/*", "/v1", "/v1/*", "/livez", "/readyz", "/metrics"]
_PLAIN_PATHS = ["/livez", "/readyz"]  # whoever watches a machine should not stumble over its certificate
_OWN = "own"  # tag of the certificate in a file
_HEAD_SECONDS = "10s"
_IDLE_SECONDS = "120s"
# uvicorn closes a connection that was idle for 5 s; a POST sent at that moment would be lost with it.
_UPSTREAM_IDLE_SECONDS = "2s"
_FOREIGN = "This page of another site may not use Dagster.\n"


@dataclass(frozen=True)
class Files:
    """Certificate and key in PEM; both may be one file."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Automatic:
    """Certificates of a CA that speaks ACME, renewed by themselves."""

    domains: Sequence[str]
    email: str
    ca: str


def configuration(
    addresses: Addresses,
    front: Front,
    certificate: Files | Automatic,
    login: Login | None,
    store: Path,
    outer: Sequence[str] = (),
) -> dict[str, Any]:
    """Caddy's whole configuration. `store`: where it keeps certificates; `outer`: networks of proxies before it."""
    service, web = _forward(addresses.service, outer), _forward(addresses.web, outer)
    secured = {"tls_connection_policies": [_policy(certificate)]}
    servers = {
        "plain": _server(
            front.http,
            [
                {"match": [{"path": ["/healthz"]}], "handle": [_says(200, "ok\n")], "terminal": True},
                {"match": [{"path": _PLAIN_PATHS}], "handle": [service], "terminal": True},
                # A port in Host is this proxy's own, not one that a container's port is published as.
                {
                    "match": [{"header_regexp": {"Host": {"pattern": r":\d+$"}}}],
                    "handle": [_redirect("" if front.https.port == 443 else f":{front.https.port}")],
                    "terminal": True,
                },
                {"handle": [_redirect("")]},
            ],
        ),
        "pages": _server(
            front.https,
            [{"match": [{"path": _SERVICE_PATHS}], "handle": [service], "terminal": True}, {"handle": [web]}],
        )
        | secured,
        "dagster": _server(front.dagster, _dagster(addresses.dagster, login, outer))
        | secured
        # Who asks for http:// there is sent to https://, so that no password goes in the clear.
        | {"listener_wrappers": [{"wrapper": "http_redirect"}, {"wrapper": "tls"}]},
    }
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "storage": {"module": "file_system", "root": str(store)},
        "logging": {"logs": {"default": {"level": "ERROR", "encoder": {"format": "console"}}}},
        "apps": {
            "http": {
                "http_port": front.http.port,
                "https_port": front.https.port,
                "grace_period": "2s",
                "servers": servers,
            },
            "tls": _certificates(certificate, front),
        },
    }


def _server(address: Address, routes: list[dict[str, Any]]) -> dict[str, Any]:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return {
        "listen": [f"{host}:{address.port}"],
        # HTTP/2 and /3 of the Go in Debian's Caddy lack mendings against floods of streams and of headers.
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "read_header_timeout": _HEAD_SECONDS,
        "idle_timeout": _IDLE_SECONDS,
        "max_header_bytes": 65_536,
        "routes": routes,
    }


def _dagster(address: Address, login: Login | None, outer: Sequence[str]) -> list[dict[str, Any]]:
    # A browser sends the password along with whatever a page of any site has it send.
    same = {"header": {"Origin": ["https://{http.request.hostport}"]}}
    foreign = {"header": {"Origin": ["*"]}, "not": [same]}
    routes: list[dict[str, Any]] = [{"match": [foreign], "handle": [_says(403, _FOREIGN)], "terminal": True}]
    if login:
        account = {"username": login.user, "password": base64.b64encode(login.hash.encode()).decode()}
        basic = {
            "accounts": [account],
            "hash": {"algorithm": "bcrypt"},
            "hash_cache": {},  # a hash takes a second; a page of Dagster asks a hundred times
            "realm": "Vnyatno: Dagster",
        }
        routes.append({"handle": [{"handler": "authentication", "providers": {"http_basic": basic}}]})
    return [*routes, {"handle": [_forward(address, outer, ["Authorization"])]}]


def _forward(address: Address, outer: Sequence[str], without: Sequence[str] = ()) -> dict[str, Any]:
    """To a server on this machine: bodies flow as they come, both ways; WebSockets too."""
    host_and_port = address.url.removeprefix("http://")
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": host_and_port}],
        "flush_interval": -1,
        "trusted_proxies": list(outer),  # others' X-Forwarded-For is replaced by the address that really asks
        "headers": {"request": {"delete": ["Forwarded", "X-Real-Ip", *without]}},
        "transport": {
            "protocol": "http",
            "dial_timeout": "5s",
            "keep_alive": {"enabled": True, "idle_timeout": _UPSTREAM_IDLE_SECONDS},
        },
    }


def _says(status: int, body: str) -> dict[str, Any]:
    return {"handler": "static_response", "status_code": status, "body": body}


def _redirect(port: str) -> dict[str, Any]:
    target = f"https://{{http.request.host}}{port}{{http.request.uri}}"
    # 308: a POST stays one.
    return {"handler": "static_response", "status_code": 308, "headers": {"Location": [target]}}


def _policy(certificate: Files | Automatic) -> dict[str, Any]:
    if isinstance(certificate, Automatic):
        return {}
    # Whatever name a client asks for, or none, as of a machine reached by its address: there is but this one.
    return {"certificate_selection": {"any_tag": [_OWN]}}


def _certificates(certificate: Files | Automatic, front: Front) -> dict[str, Any]:
    if isinstance(certificate, Files):
        file = {"certificate": str(certificate.certificate), "key": str(certificate.key), "tags": [_OWN]}
        return {"certificates": {"load_files": [file]}}
    issuer: dict[str, Any] = {
        "module": "acme",
        "ca": certificate.ca,
        "challenges": {
            "http": {"alternate_port": front.http.port},
            "tls-alpn": {"alternate_port": front.https.port},
        },
    }
    if certificate.email:
        issuer["email"] = certificate.email
    domains = list(certificate.domains)
    return {
        "certificates": {"automate": domains},
        "automation": {"policies": [{"subjects": domains, "issuers": [issuer]}]},
    }

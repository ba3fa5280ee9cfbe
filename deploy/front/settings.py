"""What the proxy takes from the environment: which certificate it shows, and who may see Dagster."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

CERTIFICATE_VARIABLE = "VNYATNO_TLS_CERT"
KEY_VARIABLE = "VNYATNO_TLS_KEY"
NAMES_VARIABLE = "VNYATNO_TLS_NAMES"
DOMAIN_VARIABLE = "VNYATNO_DOMAIN"
EMAIL_VARIABLE = "VNYATNO_ACME_EMAIL"
CA_VARIABLE = "VNYATNO_ACME_CA"
USER_VARIABLE = "VNYATNO_DAGSTER_USER"
PASSWORD_VARIABLE = "VNYATNO_DAGSTER_PASSWORD"
OFF = "off"
_LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class FrontError(ValueError):
    """The proxy cannot be set up; the message names the environment variable or the file and the remedy."""


@dataclass(frozen=True)
class FrontSettings:
    """Where the proxy's certificate comes from, and the login to Dagster.

    `certificate` and `key` are the user's own files. `domains` get their certificate from a CA (ACME). With neither the
    certificate signs itself, for `names` (hosts and addresses) beside those of this machine.
    """

    certificate: Path | None = None
    key: Path | None = None
    domains: tuple[str, ...] = ()
    email: str = ""
    ca: str = _LETS_ENCRYPT
    names: tuple[str, ...] = ()
    user: str = "admin"
    password: str | None = field(default=None, repr=False)
    """`off`: no password; None: one is made."""


def read_front(environment: Mapping[str, str] = os.environ) -> FrontSettings:
    """The settings in force. Raises `FrontError`; a password is never shown in it."""
    certificate, key = _file(environment, CERTIFICATE_VARIABLE), _file(environment, KEY_VARIABLE)
    domains = _hosts(environment, DOMAIN_VARIABLE)
    if bool(certificate) != bool(key):
        raise FrontError(f"{CERTIFICATE_VARIABLE} and {KEY_VARIABLE} are set both or neither")
    if certificate and domains:
        raise FrontError(f"set {CERTIFICATE_VARIABLE} for a certificate of your own, or {DOMAIN_VARIABLE}; not both")
    for name in domains:
        if "." not in name or _is_address(name):
            raise FrontError(f"{DOMAIN_VARIABLE}: no CA certifies {name!r}; give a domain name, as speech.example.org")
    user = environment.get(USER_VARIABLE) or "admin"
    if ":" in user or not user.isprintable():
        raise FrontError(f"{USER_VARIABLE} holds a colon or a control character; browsers cannot send that")
    return FrontSettings(
        certificate,
        key,
        domains,
        environment.get(EMAIL_VARIABLE) or "",
        environment.get(CA_VARIABLE) or _LETS_ENCRYPT,
        _hosts(environment, NAMES_VARIABLE),
        user,
        _password(environment),
    )


def _password(environment: Mapping[str, str]) -> str | None:
    password = environment.get(PASSWORD_VARIABLE) or None
    if password and password != OFF and ("\n" in password or not 8 <= len(password.encode()) <= 72):
        raise FrontError(f"{PASSWORD_VARIABLE} must be one line of 8 to 72 bytes, or `off` to ask for none")
    return password


def _file(environment: Mapping[str, str], variable: str) -> Path | None:
    text = environment.get(variable)
    if not text:
        return None
    path = Path(text).absolute()
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise FrontError(
            f"{variable}: {path} cannot be read ({error.strerror}) by user {os.getuid()}; mount it, and let that user "
            "read it"
        ) from error


def _hosts(environment: Mapping[str, str], variable: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in environment.get(variable, "").split(",") if part.strip())
    for name in names:
        if not _is_address(name) and not _HOST.fullmatch(name):
            raise FrontError(f"{variable}: {name!r} is neither a host name nor an address; separate them by commas")
    return names


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

"""The web application's settings: environment variables `VNYATNO_WEB_*`, each named as its field in capitals."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

PREFIX = "VNYATNO_WEB_"
_SHARED = {"host": "VNYATNO_HOST", "dagster_port": "VNYATNO_DAGSTER_PORT", "dagster_proxy": "VNYATNO_PROXY"}
"""Fields that have the value of another part's variable unless they are given one of their own."""
_OIDC = ("oidc_metadata_url", "oidc_client_id", "oidc_client_secret", "oidc_cookie_secret", "origin")


class SettingsError(ValueError):
    """A setting cannot be used; the message names the environment variable and what it may be."""


class WebSettings(BaseModel):
    """Lifetimes and timeouts are in seconds, sizes in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path
    """VNYATNO_HOME, absolute; this application writes into `web/` below it alone."""
    database: str = ""
    """SQLAlchemy URL (sqlite or postgresql); empty: sqlite in `web/web.sqlite`."""
    host: str = "127.0.0.1"
    port: int = Field(default=8501, ge=1, le=65_535)
    origin: str = ""
    """`https://speech.example.org`, where people reach it, if a proxy does not pass the Host header on."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    service: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://")
    service_key: SecretStr | None = None
    public_service: str = Field(default="", pattern=r"^(https?://[^\s'\"<>\\`$]+)?$")
    """Where people reach the service; empty: at this site's own host, see `web.service.addresses`."""
    dagster: str = Field(default="", pattern=r"^(https?://[^\s'\"<>\\`$]+)?$")
    """Where people reach Dagster; empty: at this site's own host, `dagster_port`."""
    dagster_port: int = Field(default=3000, ge=1, le=65_535)
    dagster_proxy: Literal["on", "off"] = "off"
    """Whether Dagster is behind the proxy, so that it is reached by HTTPS."""
    service_seconds: float = Field(default=60.0, gt=0, le=3_600)
    session_seconds: int = Field(default=30 * 86_400, ge=60, le=366 * 86_400)
    idle_seconds: int = Field(default=7 * 86_400, ge=60, le=366 * 86_400)
    max_upload_bytes: int = Field(default=25_000_000, ge=1_000, le=10_000_000_000)
    """Of one recording."""
    max_archive_bytes: int = Field(default=500_000_000, ge=1_000, le=100_000_000_000)
    """Of one archive of calls."""
    max_user_bytes: int = Field(default=2_000_000_000, ge=1_000, le=10_000_000_000_000)
    """Of all that one user keeps."""
    min_free_bytes: int = Field(default=200_000_000, ge=0, le=10**18)
    """What uploads leave of the disk, for the database and what the service answers."""
    registration: bool = True
    """Whether strangers may make an account."""
    admin: str | None = None
    admin_password: SecretStr | None = None
    oidc_metadata_url: str | None = Field(default=None, pattern=r"^https?://")
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_cookie_secret: SecretStr | None = Field(default=None, min_length=32)
    """Signs the cookie in which the provider's answer is kept for a moment."""
    oidc_name: str = "OpenID Connect"
    """What the button calls the provider."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = [name for name in _OIDC if getattr(self, name)]
        if self.oidc_client_id and len(given) < len(_OIDC):
            lacking = ", ".join(PREFIX + name.upper() for name in _OIDC if name not in given)
            raise ValueError(f"signing in through OpenID Connect also needs {lacking}")
        if bool(self.admin) != bool(self.admin_password):
            raise ValueError(f"{PREFIX}ADMIN and {PREFIX}ADMIN_PASSWORD are set both or neither")
        return self

    @property
    def folder(self) -> Path:
        """Where everything of this application lies."""
        return self.home / "web"

    @property
    def database_url(self) -> str:
        """The database that is in force."""
        return self.database or f"sqlite:///{self.folder / 'web.sqlite'}"

    @property
    def oidc(self) -> bool:
        """Whether people may sign in through OpenID Connect."""
        return bool(self.oidc_client_id)


def read_settings(environment: Mapping[str, str] = os.environ) -> WebSettings:
    """The settings in force. Raises `SettingsError`; passwords and keys are never shown in it."""
    home = Path(environment.get("VNYATNO_HOME") or "var").expanduser().resolve()
    variables = {name: f"{PREFIX}{name.upper()}" for name in WebSettings.model_fields if name != "home"}
    values = {name: environment[key] for name, key in variables.items() if environment.get(key)}
    for name, shared in _SHARED.items():
        if name not in values and environment.get(shared):
            values[name], variables[name] = environment[shared], shared
    try:
        return WebSettings.model_validate({"home": home, **values})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = f"environment variable {variables.get(str(first['loc'][0]), first['loc'][0])}: " if first["loc"] else ""
        raise SettingsError(place + first["msg"].removeprefix("Value error, ")) from None

"""The service's settings: configs/service.yaml, overridden by environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from speech.audio.limits import MIN_SPEECH_SECONDS

PREFIX = "VNYATNO_"
DEFAULT_FILE = Path(__file__).resolve().parent.parent / "configs" / "service.yaml"
VERTEX_HEALTH_VARIABLE, VERTEX_PREDICT_VARIABLE = "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/*?#@:\[\],]+)(?::(\d{1,5}))?/?")
_DEFAULT_PORTS = {"http": 80, "https": 443}  # which browsers leave out
_ROUTE = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")


class SettingsError(ValueError):
    """A setting cannot be used; the message names where it stands and what it may be."""


class ServiceSettings(BaseModel):
    """What each setting means stands beside it in configs/service.yaml; seconds and bytes throughout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=0, ge=0, le=256)
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    precision: Literal["auto", "fp32"] = "auto"
    batch_size: int = Field(default=1, ge=1, le=256)
    queue_size: int = Field(default=32, ge=1, le=10_000)
    max_requests: int = Field(default=64, ge=1, le=10_000)
    max_upload_bytes: int = Field(default=25_000_000, ge=1_000, le=1_000_000_000)
    min_speech_seconds: float = Field(default=MIN_SPEECH_SECONDS, ge=0, le=10)
    max_seconds: float = Field(default=60.0, gt=0, le=600)
    head_seconds: float = Field(default=10.0, gt=0, le=600)
    upload_seconds: float = Field(default=30.0, gt=0, le=600)
    request_seconds: float = Field(default=60.0, gt=0, le=600)
    transcribe_max_seconds: float = Field(default=1_800.0, gt=0, le=43_200)
    transcribe_seconds: float = Field(default=600.0, gt=0, le=86_400)
    transcriptions: int = Field(default=8, ge=1, le=1_000)
    decoders: int = Field(default=2, ge=1, le=64)
    decode_seconds: float = Field(default=15.0, gt=0, le=600)
    poll_seconds: float = Field(default=0.5, ge=0.05, le=60)
    log_format: Literal["text", "json"] = "text"
    tracing: bool = False
    drift_window: int = Field(default=500, ge=10, le=100_000)
    words_model: str = Field(default="base", min_length=1)
    open_on_localhost: bool = True
    administered_on_localhost: bool = True
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    address_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    cors_origins: tuple[str, ...] = ()
    min_sample_rate: int = Field(default=4_000, ge=1, le=16_000)
    max_sample_rate: int = Field(default=384_000, ge=16_000, le=10_000_000)
    max_channels: int = Field(default=8, ge=1, le=1_024)
    max_decoded_bytes: int = Field(default=200_000_000, ge=1_000_000, le=1_000_000_000)
    batch_bytes: int = Field(default=4_000_000_000, ge=1_000, le=1_000_000_000_000)
    batch_upload_seconds: float = Field(default=3_600.0, gt=0, le=86_400)
    batch_uploads: int = Field(default=4, ge=1, le=1_000)
    batch_files: int = Field(default=50_000, ge=1, le=1_000_000)
    batch_file_bytes: int = Field(default=2_000_000_000, ge=1_000, le=1_000_000_000_000)
    batch_unpacked_bytes: int = Field(default=20_000_000_000, ge=1_000, le=1_000_000_000_000_000)
    batch_call_seconds: float = Field(default=43_200.0, gt=0, le=604_800)
    batch_window_seconds: float = Field(default=10.0, ge=1, le=60)
    batches_per_key: int = Field(default=100, ge=1, le=100_000)
    batch_bytes_per_key: int = Field(default=20_000_000_000, ge=1_000, le=1_000_000_000_000_000)
    batch_days: float = Field(default=30.0, gt=0, le=36_500)
    batch_free_bytes: int = Field(default=1_000_000_000, ge=0, le=1_000_000_000_000)
    batch_roots: tuple[Path, ...] = ()
    max_fields: int = Field(default=16, ge=4, le=1_000)
    max_field_bytes: int = Field(default=65_536, ge=1_000, le=1_000_000)

    @field_validator("trusted_proxies", "batch_roots", "cors_origins", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Environment variables hold lists with commas."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_origin, value))

    @property
    def model_threads(self) -> int:
        """CPU threads for one worker's model."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) // self.workers)


def _origin(text: str) -> str:
    """An origin as browsers send it. Raises ValueError."""
    if text == "*":
        return text
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        raise ValueError(f"{text!r} is no origin; write one such as https://app.example.org, or '*' for any page")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and int(port) != _DEFAULT_PORTS.get(scheme) else "")


def read_settings(environment: Mapping[str, str] = os.environ) -> ServiceSettings:
    """The settings in force. Raises `SettingsError` naming the file or variable and the field."""
    path = Path(environment.get(f"{PREFIX}SERVICE_CONFIG") or DEFAULT_FILE)
    values = _from_file(path)
    variables = {name: f"{PREFIX}{name.upper()}" for name in ServiceSettings.model_fields}
    overridden = {name: environment[key] for name, key in variables.items() if environment.get(key)}
    try:
        return ServiceSettings.model_validate(values | overridden)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        place = f"environment variable {variables[field]}" if field in overridden else f"{path}, {field}"
        raise SettingsError(f"{place}: {first['msg']} (got {first['input']!r})") from error


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} holds no settings; see configs/service.yaml for their names")
    return values


@dataclass(frozen=True)
class VertexRoutes:
    """Where Vertex AI asks how the container is, and for predictions."""

    health: str
    predict: str

    @property
    def paths(self) -> frozenset[str]:
        return frozenset({self.health, self.predict})


def read_vertex_routes(environment: Mapping[str, str] = os.environ) -> VertexRoutes | None:
    """The routes that Vertex AI names; None outside a container of it. Raises `SettingsError`."""
    values = {name: environment.get(name, "") for name in (VERTEX_HEALTH_VARIABLE, VERTEX_PREDICT_VARIABLE)}
    if not any(values.values()):
        return None
    for name, value in values.items():
        if not _ROUTE.fullmatch(value):
            raise SettingsError(f"environment variable {name}: {value!r} is no path; Vertex sets one such as /predict")
    return VertexRoutes(values[VERTEX_HEALTH_VARIABLE], values[VERTEX_PREDICT_VARIABLE])

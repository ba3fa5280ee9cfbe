"""The service, over HTTP alone: `Service` asks it, and every failure is a `ServiceError` with words for people."""

from web.service.client import Service
from web.service.errors import (
    Busy,
    Down,
    KeyRefused,
    MissingRoute,
    NoModel,
    OddAnswer,
    RecordingRefused,
    ServiceError,
    Slow,
)

__all__ = [
    "Busy",
    "Down",
    "KeyRefused",
    "MissingRoute",
    "NoModel",
    "OddAnswer",
    "RecordingRefused",
    "Service",
    "ServiceError",
    "Slow",
]

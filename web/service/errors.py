"""Why the service gave no answer; `key` and `values` are for `web.language.text`."""

from __future__ import annotations

from web.language import catalogue, text


class ServiceError(RuntimeError):
    """The service did not do what it was asked. `detail` is its own sentence, in English, for the log."""

    key = "service_odd"

    def __init__(self, detail: str = "", code: str = "") -> None:
        super().__init__(detail or self.key)
        self.detail = detail
        self.code = code

    def message(self, language: str) -> str:
        """What people are told."""
        return text(self.key, language)


class Down(ServiceError):
    """Nothing answers at its address."""

    key = "service_down"


class Slow(ServiceError):
    """No answer within `service_seconds`."""

    key = "service_slow"


class Busy(ServiceError):
    """Too much to do, or too many requests with this key: later."""

    key = "service_busy"


class NoModel(ServiceError):
    """It runs and has no model to answer with."""

    key = "service_no_model"


class KeyRefused(ServiceError):
    """It wants a key, or another one."""

    key = "service_key"


class MissingRoute(ServiceError):
    """It does not know this request: an older service, or nothing with this id."""

    key = "service_missing"


class OddAnswer(ServiceError):
    """Its answer is not what it should be, or it failed."""


class RecordingRefused(ServiceError):
    """What was sent is no good; `code` says how (`too_long`, `silent`, …)."""

    key = "service_refused"

    def message(self, language: str) -> str:
        own = f"problem_{self.code}"
        return text(own, language) if own in catalogue(language) else text(self.key, language, detail=self.detail)

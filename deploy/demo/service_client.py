"""A client of the prediction service, as anybody would write one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from speech.defects.multilabel import present

_TIMEOUT = (5.0, 120.0)  # seconds to connect; to answer, on a busy machine too
_LOOK_SECONDS = 0.5
LOAD_SECONDS = 120.0  # for the service to load a bundle; half a second where the machine has nothing else to do


class ServiceError(RuntimeError):
    """The service did not do what was asked; the message says what it answered."""


@dataclass(frozen=True)
class Answer:
    """A diagnosis: the probability of each class, the most probable one, the bundle that said so, the verdict on each
    defect, and whether a recording has one class alone."""

    probabilities: Mapping[str, float]
    name: str
    bundle: str
    seconds: float
    verdicts: Mapping[str, str] = field(default_factory=dict)
    exclusive: bool = True

    @property
    def named(self) -> tuple[str, ...]:
        """The classes that the recording is said to have."""
        if self.exclusive:
            return (self.name,)
        return present(tuple(self.probabilities), tuple(self.probabilities.values()))


@dataclass(frozen=True)
class TranscriptAnswer:
    """What was heard, how surely (0 to 1), the bundle that heard it, and the recording's seconds."""

    text: str
    confidence: float
    bundle: str
    seconds: float


class Service:
    """The prediction service at `url`. Every method raises `ServiceError`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # the service is on this machine: no proxy

    def model(self, recipe: str | None = None) -> dict[str, Any] | None:
        """What `/api/model` says of the recipe (None: the defects); None while no model of it is in service."""
        asked = {} if recipe is None else {"recipe": recipe}
        try:
            response = self._session.get(f"{self.url}/api/model", params=asked, timeout=_TIMEOUT)
            if response.status_code == requests.codes.service_unavailable:
                return None
            response.raise_for_status()
            return dict(response.json())
        except (requests.RequestException, ValueError) as error:
            raise ServiceError(f"{self.url}/api/model gave no answer: {error}") from error

    def wait_for(
        self, bundle: str, seconds: float, check: Callable[[], None] = lambda: None, recipe: str | None = None
    ) -> dict[str, Any]:
        """Wait until `bundle` serves as the recipe's; `check` is called meanwhile and may raise."""
        deadline = time.monotonic() + seconds
        while True:
            check()
            model = self.model(recipe)
            if model is not None and model.get("bundle") == bundle:
                return model
            refused = (model or {}).get("refused") or {}
            if refused.get("bundle") == bundle:
                raise ServiceError(f"the service refused bundle {bundle}: {refused.get('reason')}")
            if time.monotonic() > deadline:
                serving = model.get("bundle") if model else "none"
                raise ServiceError(f"bundle {bundle} is not in service after {seconds:.0f} s; in service: {serving}")
            time.sleep(_LOOK_SECONDS)

    def predict(self, clip: Path) -> Answer:
        """Post a recording, in the words that known clients of the service use."""
        return _answer(self._post(clip, "/api/predict", {"device": "cpu"}))

    def transcribe(self, clip: Path) -> TranscriptAnswer:
        """What is said in a recording."""
        response = self._post(clip, "/api/transcribe", {})
        value = _value(response)
        try:
            return TranscriptAnswer(
                str(value["text"]), float(value["confidence"]), str(value["bundle"]), float(value["duration"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _not_understood(response, error) from error

    def transcribe_for_openai(self, clip: Path) -> str:
        """The text of a recording, asked for as OpenAI's clients do."""
        response = self._post(clip, "/v1/audio/transcriptions", {"model": "asr", "response_format": "json"})
        value = _value(response)
        try:
            return str(value["text"])
        except (KeyError, TypeError) as error:
            raise _not_understood(response, error) from error

    def _post(self, clip: Path, route: str, fields: Mapping[str, str]) -> requests.Response:
        try:
            with clip.open("rb") as file:
                response = self._session.post(
                    f"{self.url}{route}",
                    files={"file": (clip.name, file, "audio/mpeg")},
                    data=dict(fields),
                    timeout=_TIMEOUT,
                )
        except (OSError, requests.RequestException) as error:
            raise ServiceError(f"{clip} could not be posted: {error}") from error
        if not response.ok:
            raise ServiceError(f"{clip.name} was answered with {response.status_code}: {response.text[:500]}")
        return response


def _value(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise _not_understood(response, error) from error


def _not_understood(response: requests.Response, error: Exception) -> ServiceError:
    return ServiceError(f"the answer cannot be understood ({error!r}): {response.text[:500]}")


def _answer(response: requests.Response) -> Answer:
    value = _value(response)
    try:
        pairs = dict(zip(value["classes"], map(float, value["predict_proba"]), strict=True))
        verdicts, exclusive = dict(value.get("verdicts", {})), bool(value.get("exclusive", True))
        return Answer(pairs, value["class"], value["bundle"], float(value["duration"]), verdicts, exclusive)
    except (ValueError, KeyError, TypeError) as error:
        raise _not_understood(response, error) from error

"""Asking the service. Answers are its JSON as it came (see its OpenAPI document); what a page needs, it takes out."""

from __future__ import annotations

from contextlib import closing
from tempfile import TemporaryFile
from typing import Any, BinaryIO
from urllib.parse import quote

import requests

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
from web.service.multipart import Multipart

_CONNECT_SECONDS = 3.0
_INTAKE_SECONDS = 600.0  # an archive is checked and stored before the service answers
_PAGE = 100
DEFECTS, ASR = "defects", "asr"  # the recipes
Json = dict[str, Any]


class Service:
    """A client that may be shared between threads: no state besides the address and the key."""

    def __init__(self, address: str, key: str | None = None, seconds: float = 60.0) -> None:
        self._address = address.rstrip("/")
        self._key = key
        self._seconds = seconds

    def predict(
        self,
        audio: bytes | BinaryIO,
        name: str = "recording.wav",
        text: str | None = None,
        words: bool = False,
        peaks: int = 400,
        **fields: str,
    ) -> Json:
        """Diagnose a recording: `POST /api/predict`. `text`: what was read aloud; `fields`: further form fields.

        Raises `RecordingRefused` where the recording is no good, else another `ServiceError`.
        """
        data = {"peaks": str(peaks), "words": str(words).lower(), **fields} | ({"text": text} if text else {})
        return self._json("POST", "/api/predict", files={"file": (name, audio)}, data=data)

    def model(self, recipe: str = DEFECTS) -> Json:
        """The card of the recipe's bundle in service. Raises `NoModel` where there is none."""
        return self._json("GET", "/api/model", params={"recipe": recipe})

    def models(self, limit: int = 20, offset: int = 0, recipe: str = DEFECTS) -> Json:
        """A page of a recipe's bundles: `bundles`, `total`, `current`, `previous`."""
        return self._json("GET", "/api/models", params={"limit": limit, "offset": offset, "recipe": recipe})

    def health(self) -> Json:
        """`status` (ok, degraded, no_model) and `bundle`."""
        return self._json("GET", "/api/health")

    def drift(self) -> Json | None:
        """How far answers have moved from the training data; None where the service does not tell."""
        try:
            return self._json("GET", "/api/drift")
        except MissingRoute:
            return None

    def history(self, recipe: str = DEFECTS) -> Json | None:
        """What of a recipe served when, the latest first; None where the service does not tell."""
        try:
            return self._json("GET", "/api/model/history", params={"recipe": recipe})
        except MissingRoute:
            return None

    def start_batch(self, archive: BinaryIO, name: str, sides: bool = False) -> Json:
        """Send an archive of calls: `POST /api/batches`; the `id` in the answer asks for it later.

        `sides`: whether the two sides of a call are judged apart. `name` is ASCII.
        """
        body = Multipart(archive, name, {"sides": str(sides).lower()})
        headers = {"Content-Type": body.content_type}
        return self._json("POST", "/api/batches", seconds=_INTAKE_SECONDS, data=body, headers=headers)

    def batch_named(self, name: str) -> Json | None:
        """The latest batch that was sent under `name`; None where there is none."""
        offset = 0
        while True:
            answer = self._json("GET", "/api/batches", params={"limit": _PAGE, "offset": offset})
            listed = answer.get("batches")
            if not isinstance(listed, list):
                raise OddAnswer("/api/batches lists no batches")
            found = next((one for one in listed if isinstance(one, dict) and one.get("name") == name), None)
            if found or len(listed) < _PAGE:
                return found
            offset += _PAGE

    def batch(self, batch: str) -> Json:
        """How far a batch is: `state`, `progress`, `seconds_left`, `failures`."""
        return self._json("GET", f"/api/batches/{_part(batch)}")

    def batch_results(self, batch: str, form: str = "jsonl", part: str = "files") -> bytes:
        """What was found: `form` jsonl, csv or xlsx; `part` files or windows."""
        params = {"format": form, "part": part}
        return self.ask("GET", f"/api/batches/{_part(batch)}/results", params=params).content

    def results_file(self, batch: str) -> BinaryIO:
        """The results as JSON lines in a nameless file at its beginning, to be closed: they may be long."""
        answer = self.ask("GET", f"/api/batches/{_part(batch)}/results", params={"format": "jsonl"}, stream=True)
        file: BinaryIO = TemporaryFile()  # noqa: SIM115 the caller closes it
        try:
            with closing(answer):
                for block in answer.iter_content(1 << 20):
                    file.write(block)
        except requests.RequestException as error:
            file.close()
            raise Slow(str(error)) from error
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def cancel_batch(self, batch: str) -> Json:
        """Judge no more of a batch; what is done stays."""
        return self._json("POST", f"/api/batches/{_part(batch)}/cancel")

    def delete_batch(self, batch: str) -> None:
        """Delete a batch and all that the service keeps of it; no error where it is gone already."""
        try:
            self.ask("DELETE", f"/api/batches/{_part(batch)}")
        except MissingRoute:
            return

    def rollback(self, recipe: str = DEFECTS) -> Json:
        """Put the recipe's bundle that served before into service again: `current`, `previous`. Needs an
        administrator's key."""
        return self._json("POST", "/api/model/rollback", params={"recipe": recipe})

    def ask(self, method: str, path: str, seconds: float | None = None, **arguments: Any) -> requests.Response:
        """Any request of the service; the answer is a success. Raises `ServiceError`."""
        headers = dict(arguments.pop("headers", {})) | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        timeout = (_CONNECT_SECONDS, seconds or self._seconds)
        try:
            answer = requests.request(
                method, self._address + path, headers=headers, timeout=timeout, allow_redirects=False, **arguments
            )
        except requests.Timeout as error:
            raise (Down if isinstance(error, requests.ConnectTimeout) else Slow)(str(error)) from error
        except requests.RequestException as error:
            raise Down(str(error)) from error
        if 200 <= answer.status_code < 300:
            return answer
        raise _problem(answer)

    def _json(self, method: str, path: str, **arguments: Any) -> Json:
        answer = self.ask(method, path, **arguments)
        try:
            value = answer.json()
        except ValueError as error:
            raise OddAnswer(f"{path} answered no JSON") from error
        if not isinstance(value, dict):
            raise OddAnswer(f"{path} answered {type(value).__name__}, not an object")
        return value


def _part(text: str) -> str:
    """An id as a part of a path: never more than one."""
    return quote(text, safe="") if text.strip(".") else "_"


def _problem(answer: requests.Response) -> ServiceError:
    """The error in an answer: its problem document where it has one."""
    try:
        document = answer.json()
    except ValueError:
        document = {}
    document = document if isinstance(document, dict) else {}
    code, detail = str(document.get("code", "")), str(document.get("detail", f"HTTP {answer.status_code}"))
    if code == "no_model":
        return NoModel(detail, code)
    by_status: dict[int, type[ServiceError]] = {401: KeyRefused, 403: KeyRefused, 404: MissingRoute, 405: MissingRoute}
    by_status |= {408: Slow, 429: Busy, 502: Down, 503: Busy, 504: Slow}
    if answer.status_code in by_status:
        return by_status[answer.status_code](detail, code)
    refused = 400 <= answer.status_code < 500
    return (RecordingRefused if refused else OddAnswer)(detail, code)

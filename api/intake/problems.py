"""What went wrong, as problem documents (RFC 9457) with a stable code and a sentence for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as RoutingError

from api.intake.forms import refusal
from api.observe.requests import HEADER, current, current_id, route_of

log = logging.getLogger("vnyatno.service")

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499  # as proxies log it; nobody reads this answer
OPENAI_PREFIX = "/v1/"
SEND_KEY = (
    "send one as `Authorization: Bearer vny_…` or `X-API-Key: vny_…`; whoever runs the service makes it: `make key`"
)
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {404: "not_found", 405: "method_not_allowed", 400: "bad_request"}

# What `speech.audio.decode` may refuse: the request itself (400), its size (413), its kind (415), or the sound in it
# (422).
AUDIO_STATUS = {
    "empty": 400,
    "too_large": 413,
    "not_audio": 415,
    "too_short": 422,
    "too_long": 422,
    "silent": 422,
    "no_speech": 422,
    "bad_sample_rate": 422,
    "too_many_channels": 422,
    "decodes_too_large": 422,
    "decoder_crashed": 422,
    "decoder_timeout": 422,
}


class Problem(HTTPException):
    """An answer other than success: HTTP status, a code for machines, a sentence for people, and the field of the
    request that is at fault, where that is one of several."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        field: str | None = None,
    ) -> None:
        if field and field not in detail:
            detail = f"{field}: {detail}"
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code
        self.field = field


def document(problem: Problem) -> dict[str, str | int]:
    """The problem as the JSON object that is sent, with the id of the request that it answers."""
    fields: dict[str, str | int] = {
        "type": "about:blank",
        "title": title(problem.status_code),
        "status": problem.status_code,
        "code": problem.code,
        "detail": problem.detail,
    }
    if problem.field:
        fields["field"] = problem.field
    if request := current_id():
        fields["request_id"] = request
    return fields


def openai_error(problem: Problem) -> dict[str, dict[str, str | None]]:
    """The problem as OpenAI's clients read it."""
    kind = _OPENAI_TYPES.get(problem.status_code, "invalid_request_error")
    if problem.status_code >= 500:
        kind = "server_error"
    return {"error": {"message": str(problem.detail), "type": kind, "param": problem.field, "code": problem.code}}


def answer(problem: Problem) -> JSONResponse:
    """The problem as an HTTP answer, in the form that the request's path promises."""
    record = current()
    if record is not None and record.path.startswith(OPENAI_PREFIX):
        return JSONResponse(openai_error(problem), problem.status_code, headers=problem.headers)
    return JSONResponse(document(problem), problem.status_code, headers=problem.headers, media_type=MEDIA_TYPE)


def title(status: int) -> str:
    """The short name of an HTTP status."""
    return "Client Closed Request" if status == CLIENT_GONE else HTTPStatus(status).phrase


def install(app: FastAPI) -> None:
    """Make every failure of the application a problem document."""

    @app.exception_handler(RoutingError)
    async def _refused(_: Request, error: RoutingError) -> JSONResponse:
        if isinstance(error, Problem):
            return answer(error)
        if isinstance(error.__cause__, OSError):  # what the form's reader could not put on disk
            error = no_room(error.__cause__)
        else:
            code, detail = refusal(error) or (_CODES.get(error.status_code, "refused"), str(error.detail))
            error = Problem(error.status_code, code, detail, error.headers)
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return answer(_explain(error))

    @app.exception_handler(Exception)
    async def _failed(request: Request, error: Exception) -> JSONResponse:
        return answer(failed(route_of(request.scope), error))


def failed(route: str, error: Exception) -> Problem:
    """The answer to a request that failed by a fault of our own, which is logged."""
    log.error("a request to %s failed", route, exc_info=error)
    detail = "the service failed on this request; its log says why"
    return Problem(500, "internal", detail, {HEADER: current_id() or ""})


def no_room(fault: OSError) -> Problem:
    """The temporary folder takes no more."""
    log.error("an upload cannot be stored in the temporary folder: %s", fault)
    detail = "the service cannot store an upload of this size now; send a smaller one, or try again later"
    return Problem(503, "no_room", detail, {"Retry-After": "60"})


def _explain(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    if field != "file":
        return Problem(400, "bad_request", first["msg"], field=field)
    if first["type"] == "missing":
        return no_file()
    return not_a_file()


def no_file() -> Problem:
    """Nothing was sent."""
    detail = "no recording was sent; send it as multipart form data in the field 'file'"
    return Problem(400, "no_file", detail, field="file")


def not_a_file() -> Problem:
    """Text in the place of a file."""
    detail = "the field 'file' holds text; send the recording itself, with a file name"
    return Problem(400, "not_a_file", detail, field="file")

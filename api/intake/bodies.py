"""Recordings as they are sent to be transcribed: a form with a file, or JSON that holds it in base64."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.intake.limits import discard
from api.intake.packed_files import packed_file
from api.intake.problems import Problem, no_file

FORM, JSON = "multipart/form-data", "application/json"
HOW = 'send a form (multipart/form-data) with the recording in the field \'file\', or JSON {"file": "<base64>"}'
_JSON_BYTES = 4 / 3  # of a body for each of its file
_FILE = "The recording, any format that a form may hold, in base64 or as a data: URL"


class JsonRecording(BaseModel):
    """A recording in JSON."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"file": "UklGRi4AAABXQVZF", "words": True}]})

    file: str = Field(description=_FILE, json_schema_extra={"minLength": 1})  # pydantic would count all its letters
    words: bool = Field(False, description="Answer with each word's time and confidence")
    language: str | None = Field(None, description="What is spoken; refused where the model does not know it")


def body_bytes(max_upload_bytes: int) -> int:
    """How large a body with a file of so many bytes may be."""
    return int(max_upload_bytes * _JSON_BYTES) + 4


async def kind_of(request: Request) -> str:
    """The body's media type. Raises `Problem` 415 for one that holds no recording, 400 where there is no body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in (FORM, JSON):
        return kind
    if not kind and request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        raise no_file()
    await discard(request.receive)  # a client that still sends does not read
    raise Problem(415, "unsupported_media_type", f"Content-Type: {kind[:80] or 'none'} is not taken; {HOW}")


async def json_body(request: Request) -> Any:
    """The body as JSON. Raises `Problem` 400."""
    body = b"".join([piece async for piece in request.stream()])  # `request.body` would keep it as long as the request
    if not body.strip():
        raise no_file()
    try:
        return await asyncio.to_thread(json.loads, body)
    except (ValueError, RecursionError) as error:
        reason = str(error)[:100] or "nested too deeply"
        raise Problem(400, "bad_json", f"the body is no JSON: {reason}; {HOW}") from error


def json_recording(value: Any, prefix: str = "") -> JsonRecording:
    """A recording in JSON, checked; `prefix` stands before the names of fields. Raises `Problem` 400."""
    if not isinstance(value, dict):
        raise Problem(400, "bad_json", f"the body is JSON but no object; {HOW}", field=prefix.rstrip(".") or None)
    if value.get("file") in (None, ""):
        detail = 'holds no recording; send JSON {"file": "<base64>"}'
        raise Problem(400, "no_file", detail, field=f"{prefix}file")
    try:
        return JsonRecording.model_validate(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise Problem(400, "bad_request", first["msg"], field=f"{prefix}{first['loc'][0]}") from error


@asynccontextmanager
async def unpacked(text: str, field: str, max_bytes: int) -> AsyncIterator[IO[bytes]]:
    """The file that base64 or a data: URL holds, open at its beginning. Raises `Problem` 400 or 413."""
    with await asyncio.to_thread(packed_file, text, field, max_bytes) as file:
        yield file

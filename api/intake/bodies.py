"""Recordings as they are sent to be transcribed: a form with a file, or JSON that holds it in base64."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.intake.limits import discard
from api.intake.problems import Problem, no_file, no_room

FORM, JSON = "multipart/form-data", "application/json"
HOW = 'send a form (multipart/form-data) with the recording in the field \'file\', or JSON {"file": "<base64>"}'
_JSON_BYTES = 4 / 3  # of a body for each of its file
_BREAKS = b" \t\r\n"  # with which programs break base64 into lines


class JsonRecording(BaseModel):
    """A recording in JSON."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"file": "UklGRi4AAABXQVZF", "words": True}]})

    file: str = Field(description="The recording, any format that a form may hold, in base64", min_length=1)
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


@contextmanager
def unpacked(text: str, field: str, max_bytes: int) -> Iterator[IO[bytes]]:
    """The file that base64 holds, open. Raises `Problem` 400 or 413."""
    data = _decoded(text, field)
    if len(data) > max_bytes:
        detail = f"{len(data) / 1e6:.1f} MB; at most {max_bytes / 1e6:.0f} MB are taken"
        raise Problem(413, "too_large", detail, field=field)
    with tempfile.TemporaryFile() as file:
        try:
            file.write(data)
            file.seek(0)  # which flushes
        except OSError as error:
            raise no_room(error) from error
        del data
        yield file


def _decoded(text: str, field: str) -> bytes:
    try:
        packed = text.encode("ascii").translate(None, _BREAKS)
        return base64.b64decode(packed, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        detail = f"is not base64 ({_reason(error)}); send the recording's bytes in base64 (RFC 4648), padding included"
        raise Problem(400, "not_base64", detail, field=field) from error


def _reason(error: UnicodeEncodeError | binascii.Error) -> str:
    return "it holds other letters than ASCII's" if isinstance(error, UnicodeEncodeError) else str(error)

"""What OpenAI's clients read, as it stands in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.intake.problems import SEND_KEY, Problem, openai_error, title

ERROR = "OpenAIError"
ERROR_SCHEMA: dict[str, Any] = {
    "title": ERROR,
    "description": "Why a request was not answered, as OpenAI's clients read it",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "title": "OpenAIErrorBody",
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"title": "Message", "type": "string"},
                "type": {"title": "Type", "type": "string"},
                "param": {"title": "Param", "anyOf": [{"type": "string"}, {"type": "null"}]},
                "code": {"title": "Code", "type": "string"},
            },
        }
    },
}

_MODEL: dict[str, Any] = {"id": "whisper-1", "object": "model", "created": 1740824100, "owned_by": "vnyatno"}
_VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 2.4,
    "text": "the patient sleeps",
    "usage": {"type": "duration", "seconds": 3},
    "words": [{"word": "the", "start": 0.2, "end": 0.32}],
}
_EVENTS = (
    'data: {"type": "transcript.text.delta", "delta": "the patient"}\n\n'
    'data: {"type": "transcript.text.delta", "delta": " sleeps"}\n\n'
    'data: {"type": "transcript.text.done", "text": "the patient sleeps"}\n\n'
)
# Of each event: so OpenAPI 3.1 has it of an event stream.
_EVENT: dict[str, Any] = {
    "title": "OpenAITranscriptEvent",
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {
            "title": "Data",
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["type", "delta"],
                        "properties": {"type": {"const": "transcript.text.delta"}, "delta": {"type": "string"}},
                    },
                    {
                        "type": "object",
                        "required": ["type", "text"],
                        "properties": {"type": {"const": "transcript.text.done"}, "text": {"type": "string"}},
                    },
                    {
                        "description": "The last event of a stream that fails after it has begun",
                        "type": "object",
                        "required": ["error"],
                        "properties": {"error": {"type": "object", "required": ["message", "type"]}},
                    },
                ]
            },
        }
    },
}


class Model(BaseModel):
    """A name that `model` may have."""

    model_config = ConfigDict(title="OpenAIModel", json_schema_extra={"examples": [_MODEL]})

    id: str
    object: Literal["model"]
    created: int = Field(description="Seconds since 1970")
    owned_by: str


class ModelList(BaseModel):
    """Names that `model` may have."""

    model_config = ConfigDict(
        title="OpenAIModelList", json_schema_extra={"examples": [{"object": "list", "data": [_MODEL]}]}
    )

    object: Literal["list"]
    data: list[Model]


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript; plain text for the response formats text, srt and vtt; events with stream",
        "content": {
            "application/json": {
                "schema": {
                    "title": "OpenAITranscription",
                    "type": "object",
                    "required": ["text", "usage"],
                    "properties": {
                        "text": {"title": "Text", "type": "string"},
                        "usage": {"title": "Usage", "type": "object", "additionalProperties": True},
                        "task": {"title": "Task", "type": "string"},
                        "language": {"title": "Language", "type": "string"},
                        "duration": {"title": "Duration", "type": "number"},
                        "segments": {"title": "Segments", "type": "array", "items": {"type": "object"}},
                        "words": {"title": "Words", "type": "array", "items": {"type": "object"}},
                        "warnings": {
                            "title": "Warnings",
                            "description": "What is wrong with the recording, as in /api/transcribe; else absent",
                            "type": "array",
                            "items": {"type": "object"},
                        },
                    },
                },
                "examples": {
                    "json": {"value": {"text": "the patient sleeps", "usage": {"type": "duration", "seconds": 3}}},
                    "verbose_json": {"value": _VERBOSE},
                },
            },
            "text/plain": {"schema": {"type": "string"}, "example": "the patient sleeps\n"},
            "text/event-stream": {"schema": _EVENT, "example": _EVENTS},
        },
    }
}

_STARTING = Problem(503, "starting", "the service is starting")
_UNKNOWN = Problem(404, "model_not_found", "there is no model 'tiny' here; GET /v1/models lists those", field="model")
MODELS_PROBLEMS = [_STARTING]
MODEL_PROBLEMS = [_UNKNOWN, _STARTING]
TRANSCRIPTION_PROBLEMS = [
    Problem(
        400, "bad_request", "Input should be 'json', 'text', 'verbose_json', 'srt' or 'vtt'", field="response_format"
    ),
    Problem(400, "unknown_field", "'include[]' is not taken here; what is: file, model", field="include[]"),
    Problem(400, "repeated_field", "'language' was sent twice; send it once", field="language"),
    Problem(400, "several_files", "2 recordings came in one form; send one at a time", field="file"),
    Problem(400, "unsupported_value", "events are streamed with response_format json or text, not srt", field="stream"),
    Problem(401, "key_missing", f"this needs a key; {SEND_KEY}"),
    _UNKNOWN,
    Problem(408, "upload_timeout", "the recording did not arrive within 30 s"),
    Problem(413, "too_large", "more than 25.1 MB were sent; send less"),
    Problem(415, "not_audio", "the file is no sound recording that can be decoded", field="file"),
    Problem(422, "silent", "nothing is heard in the recording; check the microphone and record again", field="file"),
    Problem(
        422, "language_not_understood", "asr-2b3c4d5e6f70 understands en, not 'fr'; leave it out", field="language"
    ),
    Problem(429, "rate_limited", "the key 'anna' has made its 60 requests a minute; try again in 1 s"),
    Problem(503, "no_model", "no recogniser is in service yet; train one: `make demo RECIPE=asr`"),
    _STARTING,
]


def described(examples: Sequence[Problem]) -> dict[int | str, dict[str, Any]]:
    """As `api.server.openapi.described`, in OpenAI's form."""
    responses: dict[int | str, dict[str, Any]] = {}
    for example in examples:
        media = {"application/json": {"schema": ERROR_SCHEMA, "examples": {}}}
        status = example.status_code
        response: dict[str, Any] = responses.setdefault(status, {"description": title(status), "content": media})
        response["content"]["application/json"]["examples"][example.code] = {"value": openai_error(example)}
    return responses

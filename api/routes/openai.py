"""The part of OpenAI's interface that turns speech into text, so that its clients work unchanged.

`model` may be the bundle in service, its recipe `asr`, or `whisper-1`, which ready-made clients send; `prompt`,
`temperature` and `chunking_strategy` are taken and change nothing. Other fields are refused. Errors have OpenAI's form
(`api.intake.problems`).
"""

from __future__ import annotations

import math
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BeforeValidator

from api.intake.disconnect import while_connected
from api.intake.form_route import FormRoute
from api.intake.languages import language_name
from api.intake.problems import Problem
from api.routes.captions import Segment, segments, srt, vtt
from api.routes.current_worker import engine_of
from api.routes.transcript_events import event_stream
from api.schemas import openai as shapes
from api.security.access import predictor

if TYPE_CHECKING:
    from api.worker.engine import Engine
    from api.worker.recognition import RecognitionResult

PATH = "/v1/audio/transcriptions"
ALIASES = ("asr", "whisper-1")
STREAMED = ("json", "text")
Format = Literal["json", "text", "verbose_json", "srt", "vtt"]
Granularity = Literal["word", "segment"]


def _split(values: Any) -> Any:
    """Each of a list's values, where some were sent as one: `word,segment`, `["word", "segment"]`."""
    if not isinstance(values, list):
        return values
    parts = [part.strip(" \"'") for value in values for part in str(value).strip("[] ").split(",")]
    return [part for part in parts if part]


router = APIRouter(prefix="/v1", tags=["transcription"], route_class=FormRoute)


@router.post(
    "/audio/transcriptions",
    response_model=None,
    responses={**shapes.ANSWERS, **shapes.described(shapes.TRANSCRIPTION_PROBLEMS)},
    dependencies=[Depends(predictor)],
    summary="Write down what is said, for OpenAI's clients",
)
async def create_transcription(
    request: Request,
    file: Annotated[UploadFile, File(description="The recording", json_schema_extra={"format": "binary"})],
    model: Annotated[str, Form(description="Id of the bundle in service, asr, or whisper-1", max_length=200)],
    language: Annotated[str | None, Form(description="What is spoken", max_length=100)] = None,
    prompt: Annotated[str | None, Form(description="Taken and ignored", max_length=10_000)] = None,
    response_format: Annotated[Format, Form(description="The answer's form")] = "json",
    temperature: Annotated[float | None, Form(description="Taken and ignored", ge=0, le=1)] = None,
    chunking_strategy: Annotated[Literal["auto"] | None, Form(description="Taken and ignored")] = None,
    granularities: Annotated[
        list[Granularity] | None,
        BeforeValidator(_split),
        Form(alias="timestamp_granularities[]", description="What verbose_json holds; segment unless said otherwise"),
    ] = None,
    stream: Annotated[bool, Form(description="Answer with server-sent events while it is heard; json or text")] = False,
) -> Response:
    """As OpenAI's `POST /v1/audio/transcriptions`."""
    if stream and response_format not in STREAMED:
        detail = f"events are streamed with response_format json or text, not {response_format}"
        raise Problem(400, "unsupported_value", detail, field="stream")
    if granularities and response_format != "verbose_json":
        detail = "needs response_format=verbose_json"
        raise Problem(400, "unsupported_value", detail, field="timestamp_granularities")
    engine = engine_of(request)
    _require_model(engine, model)
    transcribe = partial(engine.recognition.transcribe, file.file, language or None, empty_without_speech=True)
    if stream:
        return await while_connected(request, event_stream(transcribe))
    found = await while_connected(request, transcribe())
    return _answer(found, response_format, granularities or ["segment"])


@router.get(
    "/models",
    response_model=shapes.ModelList,
    responses=shapes.described(shapes.MODELS_PROBLEMS),
    summary="Names that `model` may have, for OpenAI's clients",
)
async def list_models(request: Request) -> shapes.ModelList:
    """The recogniser in service, and the other names that stand for it; none where there is none in service."""
    return shapes.ModelList(object="list", data=_models(engine_of(request)))


@router.get(
    "/models/{model}",
    response_model=shapes.Model,
    responses=shapes.described(shapes.MODEL_PROBLEMS),
    summary="One of these names, for OpenAI's clients",
)
async def retrieve_model(request: Request, model: str) -> shapes.Model:
    """What is known of a model."""
    found = next((each for each in _models(engine_of(request)) if each.id == model), None)
    if found is None:
        raise _unknown(model)
    return found


def _models(engine: Engine) -> list[shapes.Model]:
    serving = engine.recognition.loader.state.serving
    if serving is None:
        return []
    made = int(datetime.fromisoformat(serving.bundle.config.created).timestamp())
    return [
        shapes.Model(id=name, object="model", created=made, owned_by="vnyatno")
        for name in (serving.bundle.id, *ALIASES)
    ]


def _require_model(engine: Engine, model: str) -> None:
    """Raises `Problem` 404, or 503 where nothing is in service."""
    if model not in (engine.recognition.serving().bundle.id, *ALIASES):
        raise _unknown(model)


def _unknown(model: str) -> Problem:
    detail = f"there is no model {model[:100]!r} here; GET /v1/models lists those there are"
    return Problem(404, "model_not_found", detail, field="model")


def _answer(found: RecognitionResult, form: Format, granularities: list[Granularity]) -> Response:
    said = found.transcript
    if form == "text":
        return PlainTextResponse(f"{said.text}\n")
    if form == "srt":
        return PlainTextResponse(srt(segments(said.words)))
    if form == "vtt":
        return PlainTextResponse(vtt(segments(said.words)))
    answer: dict[str, Any] = {"text": said.text, "usage": {"type": "duration", "seconds": math.ceil(said.seconds)}}
    if found.warnings:
        answer["warnings"] = [warning.model_dump() for warning in found.warnings]
    if form == "verbose_json":
        answer |= {
            "task": "transcribe",
            "language": language_name(found.bundle.config.language),
            "duration": round(said.seconds, 3),
        }
        if "segment" in granularities:
            answer["segments"] = [_segment(number, each) for number, each in enumerate(segments(said.words))]
        if "word" in granularities:
            answer["words"] = [
                {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in said.words
            ]
    return JSONResponse(answer)


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    return {
        "id": number,
        "seek": 0,  # Whisper's windows, tokens, temperature and doubt whether anybody speaks: a CTC model has none
        "tokens": [],
        "temperature": 0.0,
        "no_speech_prob": 0.0,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "avg_logprob": round(segment.mean_log_probability, 4),
        "compression_ratio": round(segment.compression_ratio, 3),
    }

"""Vertex AI's side of the service: the routes that it names to a custom container.

A prediction is asked for as Vertex does, `{"instances": [{"file": "<base64>"}], "parameters": {"words": true}}`, or, by
its raw prediction, as /api/transcribe takes it. The recipe in service answers: a recogniser with transcripts, else the
model that hears defects with its predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from api.intake import forms
from api.intake.bodies import JSON, json_body, json_recording, kind_of, unpacked
from api.intake.disconnect import while_connected
from api.intake.form_route import FormRoute, checked
from api.intake.problems import Problem, no_file, not_a_file
from api.routes import answers
from api.routes.current_worker import engine_of
from api.security.access import predictor
from api.settings import VertexRoutes

if TYPE_CHECKING:
    from api.worker.engine import Engine

_FLAG = TypeAdapter(bool)
_FIELDS = ("file", "words", "language")


def router(routes: VertexRoutes) -> APIRouter:
    """The two routes."""
    found = APIRouter(include_in_schema=False, route_class=FormRoute)
    found.add_api_route(routes.health, vertex_health, methods=["GET"])
    found.add_api_route(routes.predict, vertex_predict, methods=["POST"], dependencies=[Depends(predictor)])
    return found


async def vertex_health(request: Request) -> dict[str, str]:
    """200 as soon as recordings would be answered, 503 until then."""
    engine = engine_of(request)
    engine.require_any()
    return {"status": engine.health().status}


async def vertex_predict(request: Request) -> JSONResponse:
    """The answer to a raw prediction, or to instances."""
    if await kind_of(request) == JSON:
        value = await json_body(request)
        if isinstance(value, dict) and "instances" in value:
            return JSONResponse({"predictions": await _of_instances(request, value)})
        return JSONResponse(await _of_json(request, value, "", {}))
    async with request.form(**forms.limits(request.app.state.settings)) as form:
        checked(form, _FIELDS)
        file = form.get("file")
        if file is None:
            raise no_file()
        if isinstance(file, str):
            raise not_a_file()
        return JSONResponse(await _of_form(request, file, form.get("words"), form.get("language")))


async def _of_instances(request: Request, value: dict[str, Any]) -> list[dict[str, Any]]:
    """One prediction for each; where one cannot be made, none is."""
    instances, parameters = value["instances"], value.get("parameters") or {}
    if not isinstance(instances, list) or not instances:
        raise Problem(400, "bad_request", 'must be a list such as [{"file": "<base64>"}]', field="instances")
    if not isinstance(parameters, dict):
        raise Problem(400, "bad_request", 'must be an object such as {"words": true}', field="parameters")
    known = {name: parameters[name] for name in ("words", "language") if name in parameters}
    return [
        await _of_json(request, instance, f"instances.{number}.", known) for number, instance in enumerate(instances)
    ]


async def _of_json(request: Request, value: Any, prefix: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    sent = json_recording({**parameters, **value} if isinstance(value, dict) else value, prefix)
    async with unpacked(sent.file, f"{prefix}file", request.app.state.settings.max_upload_bytes) as opened:
        try:
            return await _answer(request, opened, sent.words, sent.language)
        except Problem as problem:
            if prefix and problem.field:
                field = f"{prefix}{problem.field}"
                raise Problem(
                    problem.status_code, problem.code, f"{field}: {problem.detail}", problem.headers, field
                ) from problem
            raise


async def _of_form(request: Request, file: UploadFile, words: Any, language: Any) -> dict[str, Any]:
    try:
        flag = _FLAG.validate_python(words or False)
    except ValidationError as error:
        raise Problem(400, "bad_request", "must be true or false", field="words") from error
    return await _answer(request, file.file, flag, str(language) if language else None)


async def _answer(request: Request, file: IO[bytes], words: bool, language: str | None) -> dict[str, Any]:
    answer = await while_connected(request, _found(engine_of(request), file, words, language))
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)


async def _found(engine: Engine, file: IO[bytes], words: bool, language: str | None) -> BaseModel:
    if engine.recognition.loader.state.serving is None and engine.loader.state.serving is not None:
        return answers.prediction(await engine.diagnose(file))
    return answers.transcript(await engine.recognition.transcribe(file, language), words)

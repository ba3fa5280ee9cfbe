"""The OpenAPI document in the form that generators of clients read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.intake.bodies import FORM
from api.intake.problems import MEDIA_TYPE, Problem, document, title
from api.schemas.openai import ERROR
from api.schemas.predict import ProblemDocument

PROBLEM = "ProblemDocument"


class Documented(FastAPI):
    """An application whose document defines the problem document, and OpenAI's, once.

    FastAPI refers to a model only under the media type of the route's own answer, so every status of every route holds
    a definition of its own; generators would make a class of each, or stop at the second of the same name. BentoML
    makes its own document of the routes, which must hold without this one's components: so they are put in place here.
    """

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for path in document["paths"].values():
            for operation in path.values():
                _close_form(operation, schemas)
                if operation["responses"].get("422", {}).get("description") == "Validation Error":
                    del operation["responses"]["422"]  # FastAPI's own; here it is a problem of status 400
                for response in operation["responses"].values():
                    for content in response.get("content", {}).values():
                        name = content.get("schema", {}).get("title")
                        if name in (PROBLEM, ERROR):
                            reference = {"$ref": f"#/components/schemas/{name}"}
                            schemas[name], content["schema"] = content["schema"], reference
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        return document


def _close_form(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Say of a form that it may hold its fields alone: `api.intake.form_route` refuses others."""
    form = operation.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema")
    if form:
        schemas.get(form.get("$ref", "").rpartition("/")[2], form)["additionalProperties"] = False


def operation_id(route: APIRoute) -> str:
    """The route's own name, which is what generated clients call it."""
    return route.name


def described(examples: Sequence[Problem]) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides success, for the OpenAPI document: an example per code, under its status."""
    schema = ProblemDocument.model_json_schema()
    responses: dict[int | str, dict[str, Any]] = {}
    for example in examples:
        status = example.status_code
        response = responses.setdefault(
            status, {"description": title(status), "content": {MEDIA_TYPE: {"schema": schema, "examples": {}}}}
        )
        response["content"][MEDIA_TYPE]["examples"][example.code] = {"value": document(example)}
    return responses

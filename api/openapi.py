"""The OpenAPI document in the form that generators of clients read."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.problems import MEDIA_TYPE

PROBLEM = "ProblemDocument"


class Documented(FastAPI):
    """An application whose document defines the problem document once.

    FastAPI refers to a model only under the media type of the route's own answer, so every status of every route holds
    a definition of its own; generators would make a class of each, or stop at the second of the same name. BentoML
    makes its own document of the routes, which must hold without this one's components: so they are put in place here.
    """

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        reference = {"$ref": f"#/components/schemas/{PROBLEM}"}
        for path in document["paths"].values():
            for operation in path.values():
                for response in operation["responses"].values():
                    content = response.get("content", {}).get(MEDIA_TYPE)
                    if content is not None and content["schema"] != reference:
                        schemas[PROBLEM], content["schema"] = content["schema"], reference
        return document


def operation_id(route: APIRoute) -> str:
    """The route's own name, which is what generated clients call it."""
    return route.name

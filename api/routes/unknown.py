"""Whatever no other route answers below /api and /v1: 404 or 405 in the application's own form.

BentoML would answer otherwise, in a form of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match

from api.intake.problems import Problem

EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def router(others: Sequence[APIRouter]) -> APIRouter:
    """The router to be included last. `others`: those before it, whose routes say which methods a path takes."""
    known = [route for other in others for route in other.routes if isinstance(route, APIRoute)]
    last = APIRouter()

    @last.api_route("/api/{rest:path}", methods=EVERY_METHOD, include_in_schema=False)
    @last.api_route("/v1/{rest:path}", methods=EVERY_METHOD, include_in_schema=False)
    async def unknown(request: Request) -> Response:
        matching = (route.methods or set() for route in known if route.matches(request.scope)[0] is Match.PARTIAL)
        allowed = sorted(set().union(*matching))
        if allowed:
            methods = ", ".join(allowed)
            raise Problem(405, "method_not_allowed", f"{request.url.path} takes {methods}", {"Allow": methods})
        raise Problem(404, "not_found", f"there is nothing at {request.url.path}; see /api/docs/")

    return last

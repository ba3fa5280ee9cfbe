"""GET /api/model/history: what served when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.intake.problems import Problem
from api.routes.current_worker import OfRecipe, data_home
from api.routes.inventory import LARGEST_PAGE
from api.server.openapi import described
from speech.serving.history import Action, read_history

_EXAMPLE: dict[str, JsonValue] = {
    "changes": [
        {
            "at": "2025-03-02T08:00:00.123456+00:00",
            "action": "rolled_back",
            "before": "defects-1a2b3c4d5e6f",
            "after": "defects-0f9e8d7c6b5a",
        }
    ],
    "total": 12,
}


class PointerChange(BaseModel):
    """The pointer moved. By whom is in the file and the log alone: names of keys are nobody else's affair."""

    at: str = Field(description="UTC, ISO 8601")
    action: Action = Field(
        description="published; rolled_back; found: so it stood, written by hand or by a process killed before it "
        "could note it"
    )
    before: str | None = Field(description="Id of the bundle that was to serve until then; null for the first")
    after: str = Field(description="Id of the bundle that was to serve from then on")


class PointerHistory(BaseModel):
    """The newest changes of the pointer."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    changes: list[PointerChange] = Field(description="Newest first")
    total: int = Field(description="Of changes that are still known; the oldest are dropped after about a thousand")


router = APIRouter(prefix="/api", tags=["service"])


@router.get(
    "/model/history",
    response_model=PointerHistory,
    responses=described(
        [
            Problem(400, "bad_request", f"limit: Input should be less than or equal to {LARGEST_PAGE}"),
            Problem(503, "starting", "the service is starting"),
        ]
    ),
    summary="What served when",
)
def model_history(  # not async: it reads a file
    request: Request,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Changes in the answer")] = 20,
    recipe: OfRecipe = "defects",
) -> PointerHistory:
    """Every publication and rollback, whoever made it."""
    changes = read_history(data_home(request), recipe)
    newest = [
        PointerChange(at=change.at, action=change.action, before=change.before, after=change.after)
        for change in reversed(changes[-limit:])
    ]
    return PointerHistory(changes=newest, total=len(changes))

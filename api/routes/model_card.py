"""GET /api/model: the bundle in service."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api.intake.problems import Problem
from api.routes.current_worker import OfRecipe, engine_of
from api.schemas import examples
from api.schemas.predict import ModelCard, RecogniserCard
from api.server.openapi import described

router = APIRouter()


@router.get(
    "/api/model",
    response_model=ModelCard | RecogniserCard,
    responses=described(
        [
            Problem(400, "no_file", "no recording was sent; send it as multipart form data in the field 'file'"),
            *examples.further(400),
            examples.NO_MODEL,
            *examples.further(503),
        ]
    ),
    tags=["service"],
    summary="The bundle in service",
)
async def model(request: Request, recipe: OfRecipe = "defects") -> ModelCard | RecogniserCard:
    """Which bundle answers, what it tells apart, how it scored, and whether a newer one was refused."""
    engine = engine_of(request)
    return engine.recognition.card() if recipe == "asr" else engine.card()

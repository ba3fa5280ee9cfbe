"""GET /api/health: how the worker is that answers."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api.routes.current_worker import engine_of
from api.schemas.predict import Health

router = APIRouter()


@router.get("/api/health", response_model=Health, tags=["service"], summary="How this worker is")
async def health(request: Request) -> Health:
    """Whether a model is in service, and whether a newer bundle was refused; always 200 while the service lives."""
    return engine_of(request).health()

"""GET /metrics: the metrics of all workers, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from api.observe.metrics import exposition
from api.security.access import administrator

router = APIRouter()


@router.get("/metrics", dependencies=[Depends(administrator)], include_in_schema=False)
def metrics() -> Response:
    """All workers' metrics as Prometheus reads them."""
    text, media_type = exposition()
    return Response(text, media_type=media_type)

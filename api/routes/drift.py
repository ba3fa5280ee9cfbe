"""GET /api/drift: how far the newest answers of all workers have moved from the bundle's training data."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.intake.problems import SEND_KEY, Problem
from api.routes.current_worker import engine_of
from api.security.access import Admitted, administrator
from api.server.openapi import described
from speech.home import Home
from speech.serving.drift import (
    LEAST_ANSWERS,
    DriftError,
    Tally,
    by_chance,
    merged,
    psi,
    read_tally,
    reference,
    scales,
    tally_files,
)

log = logging.getLogger("vnyatno.service")

_EXAMPLE: dict[str, JsonValue] = {
    "bundle": "defects-1a2b3c4d5e6f",
    "answers": 1480,
    "psi": {"level_dbfs": 0.31, "seconds": 0.04, "class": 0.08},
    "by_chance": {"level_dbfs": 0.05, "seconds": 0.05, "class": 0.11},
}


class DriftAnswer(BaseModel):
    """The population stability index of each figure, and what chance alone gives; up to either 0.1 or that is no change
    worth a look, from 0.25 on it is another population."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    bundle: str | None = Field(description="Whose answers these are; null where none is in service")
    answers: int = Field(description="Newest answers that were counted, of all workers; brought up to date each minute")
    psi: dict[str, float] = Field(description=f"By figure; empty below {LEAST_ANSWERS} answers")
    by_chance: dict[str, float] = Field(
        description="By figure: what the index stays below in 99 of 100 windows of so many answers, though nothing has "
        "changed"
    )


router = APIRouter(prefix="/api", tags=["service"])


@router.get(
    "/drift",
    response_model=DriftAnswer,
    responses=described(
        [
            Problem(401, "key_missing", f"this needs a key; {SEND_KEY}"),
            Problem(403, "forbidden_role", "the key 'anna' may only predict; this needs one with the role admin"),
            Problem(503, "starting", "the service is starting"),
        ]
    ),
    summary="How far what is heard has moved from the training data",
)
def drift(request: Request, _: Annotated[Admitted, Depends(administrator)]) -> DriftAnswer:
    """What the recordings of the last answers are like, beside those that the bundle was trained on."""
    engine = engine_of(request)
    serving = engine.loader.state.serving
    if serving is None:
        return DriftAnswer(bundle=None, answers=0, psi={}, by_chance={})
    bundle = serving.bundle
    try:
        known = reference(bundle.folder, bundle.metrics)
    except (OSError, ValueError) as error:  # of a bundle in memory whose files were lost
        log.warning("%s: drift from the training clips cannot be told: %s", bundle.id, error)
        known = scales({}, bundle.metrics)
    tallies = [tally for tally in _tallies(engine.home) if tally.bundle == bundle.id]
    answers = sum(tally.answers for tally in tallies)
    counts = merged(tallies, known) if answers >= LEAST_ANSWERS else {}
    return DriftAnswer(
        bundle=bundle.id,
        answers=answers,
        psi={name: round(psi(known[name], counts[name]), 4) for name in counts},
        by_chance={name: round(by_chance(known[name], counts[name]), 4) for name in counts},
    )


def _tallies(home: Home) -> list[Tally]:
    """The workers' counts; a file that holds none is passed over, as the pipeline's check says which."""
    found = []
    for path in tally_files(home):
        try:
            found.append(read_tally(path))
        except DriftError as error:
            log.warning("%s", error)
    return found

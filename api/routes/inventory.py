"""GET /api/models: the bundles of the data folder, newest first."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.intake.problems import Problem
from api.routes.current_worker import OfRecipe, data_home
from api.server.openapi import described
from speech.serving.inventory import Listed, State, inventory

LARGEST_PAGE = 100

_EXAMPLE: dict[str, JsonValue] = {
    "bundles": [
        {
            "id": "defects-1a2b3c4d5e6f",
            "state": "in_service",
            "reasons": [],
            "recipe": "defects",
            "created": "2025-03-01T10:15:00+00:00",
            "age_seconds": 86400.0,
            "scores": {
                "macro_f1": 0.81,
                "majority_macro_f1": 0.14,
                "class_f1": {"none": 0.86, "burr": 0.84, "fricative_g": 0.77, "stutter": 0.77},
                "calibration_error": 0.04,
                "marker_error": 0.6,
                "wer": None,
                "cer": None,
                "test_clips": 412,
                "test_speakers": 31,
            },
            "gate_override": None,
            "lineage": {"run": "6f0c0a52-3f0e-4c57-9a0e-2a4bb7c3f0aa", "heads": "5e6f7a8b9c0d"},
            "bytes": 379412345,
        }
    ],
    "total": 7,
    "limit": 1,
    "offset": 0,
    "current": "defects-1a2b3c4d5e6f",
    "previous": "defects-0f9e8d7c6b5a",
    "pointer_error": None,
}


class BundleScores(BaseModel):
    """Figures on the test split; null where the evaluation gave none."""

    macro_f1: float | None = Field(description="0 to 1")
    majority_macro_f1: float | None = Field(description="Of always answering the most frequent class; 0 to 1")
    class_f1: dict[str, float | None] = Field(description="F1 per class, 0 to 1")
    calibration_error: float | None = Field(
        description="Expected calibration error, 0 to 1; null, too, where classes are not exclusive"
    )
    marker_error: float | None = Field(
        description="Mean absolute error of counting marker letters, in letters a recording"
    )
    wer: float | None = Field(description="Of a recogniser: word error rate, 0 and up")
    cer: float | None = Field(description="Of a recogniser: character error rate, 0 and up")
    test_clips: int | None
    test_speakers: int | None


class ListedBundle(BaseModel):
    """A bundle of the data folder."""

    id: str
    state: State = Field(
        description="in_service and previous: as the pointer has it; published_before: it served, and could again; "
        "ready: it passes the gate and never served; refused_by_gate: publishing would be refused; broken: it cannot "
        "be used, even where the pointer names it"
    )
    reasons: list[str] = Field(
        description="Why it is broken, or the gate's conditions that it fails; with `gate_override` they do not count"
    )
    recipe: str | None = Field(description="Null, like all that is not known, of a broken bundle")
    created: str | None = Field(description="UTC, ISO 8601")
    age_seconds: float | None
    scores: BundleScores
    gate_override: str | None = Field(description="Why it may serve though conditions failed; null where none may")
    lineage: dict[str, str] = Field(description="The run and the stages' outputs that it was made from")
    bytes: int = Field(description="On disk")


class BundleList(BaseModel):
    """A page of the list, and what the pointer names."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    bundles: list[ListedBundle] = Field(description="Newest first")
    total: int = Field(description="Of bundles, on all pages")
    limit: int
    offset: int
    current: str | None = Field(description="Id of the bundle that is to serve")
    previous: str | None = Field(description="Id of the bundle that a rollback would put into service")
    pointer_error: str | None = Field(description="Why the pointer cannot be read; the service keeps what it has")


router = APIRouter(prefix="/api", tags=["service"])


@router.get(
    "/models",
    response_model=BundleList,
    responses=described(
        [
            Problem(400, "bad_request", f"limit: Input should be less than or equal to {LARGEST_PAGE}"),
            Problem(503, "starting", "the service is starting"),
        ]
    ),
    summary="All bundles of the data folder",
)
def models(  # not async: it reads files
    request: Request,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Bundles on this page")] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="Bundles before this page")] = 0,
    recipe: OfRecipe = "defects",
) -> BundleList:
    """Every bundle with its scores, its lineage and how it stands: in service, ready, refused by the gate, broken.

    Weights are not read here: they are verified when a bundle is put into service.
    """
    found = inventory(data_home(request), recipe)
    return BundleList(
        bundles=[_shown(bundle) for bundle in found.bundles[offset : offset + limit]],
        total=len(found.bundles),
        limit=limit,
        offset=offset,
        current=found.pointer.current if found.pointer else None,
        previous=found.pointer.previous if found.pointer else None,
        pointer_error=found.pointer_error,
    )


def _shown(bundle: Listed) -> ListedBundle:
    values: dict[str, Any] = vars(bundle) | {"scores": BundleScores(**vars(bundle.scores))}
    return ListedBundle(**values)

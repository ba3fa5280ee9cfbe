"""What changes the service, and who may: rollback."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.intake.problems import SEND_KEY, Problem
from api.routes.current_worker import OfRecipe, data_home, engine_of
from api.security.access import Admitted, administrator
from api.server.openapi import described
from speech.bundles.defects import BundleError
from speech.bundles.gate import GateRefused
from speech.serving.pointer import NoPreviousError, PointerError, PointerMovedError, PointerWriteError, rollback

_EXAMPLE: dict[str, JsonValue] = {
    "current": "defects-0f9e8d7c6b5a",
    "previous": "defects-1a2b3c4d5e6f",
    "published": "2025-03-02T08:00:00.123456+00:00",
    "in_service": "defects-1a2b3c4d5e6f",
}


class RolledBack(BaseModel):
    """The pointer after a rollback. Every worker loads `current` and swaps within seconds; until then it serves what
    it has."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    current: str = Field(description="Id of the bundle that is to serve from now on")
    previous: str = Field(description="Id of the bundle that served; the next rollback returns to it")
    published: str = Field(description="When this was decided; UTC, ISO 8601")
    in_service: str | None = Field(
        description="Id of the bundle that this worker serves at this moment, mostly still the old one; see /api/model"
    )


router = APIRouter(prefix="/api", tags=["administration"])


@router.post(
    "/model/rollback",
    response_model=RolledBack,
    responses=described(
        [
            Problem(400, "bad_request", "Input should be 'defects' or 'asr'", field="recipe"),
            Problem(401, "key_missing", f"this needs a key; {SEND_KEY}"),
            Problem(403, "forbidden_role", "the key 'anna' may only predict; this needs one with the role admin"),
            Problem(409, "no_previous", "no bundle served before defects-1a2b3c4d5e6f, so there is none to go back to"),
            Problem(409, "bundle_refused", "defects-0f9e8d7c6b5a/model.safetensors was changed or cut off"),
            Problem(409, "pointer_moved", "defects-1a2b3c4d5e6f no longer serves; look again which bundle does"),
            Problem(409, "pointer_broken", "/data/serving/defects.yaml names no current bundle"),
            Problem(
                503, "pointer_unwritable", "/data/serving/defects.yaml cannot be written (No space left on device)"
            ),
            Problem(503, "starting", "the service is starting"),
        ]
    ),
    summary="Put the bundle that served before into service again",
)
def roll_back(
    request: Request, admitted: Annotated[Admitted, Depends(administrator)], recipe: OfRecipe = "defects"
) -> RolledBack:
    """The bundle that served before is verified, passes the gate again, and serves; once more returns.

    Where it is refused, the service stays as it is, and `detail` says why.
    """
    home = data_home(request)
    who = f"with the key {admitted.key}" if admitted.key else "from this machine"
    try:
        pointer = rollback(home, recipe, by=f"POST /api/model/rollback {who}")
    except NoPreviousError as error:
        raise Problem(409, "no_previous", str(error)) from error
    except PointerMovedError as error:
        raise Problem(409, "pointer_moved", str(error)) from error
    except PointerWriteError as error:
        raise Problem(503, "pointer_unwritable", str(error), {"Retry-After": "60"}) from error
    except PointerError as error:
        raise Problem(409, "pointer_broken", f"{error}; publish a bundle to write it anew") from error
    except (BundleError, GateRefused) as error:
        raise Problem(409, "bundle_refused", f"the service stays as it is: {error}") from error
    serving = engine_of(request).loaders[recipe].state.serving
    return RolledBack(
        current=pointer.current,
        previous=str(pointer.previous),
        published=pointer.published,
        in_service=serving.bundle.id if serving else None,
    )

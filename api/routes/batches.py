"""Routes of batches: archives of calls, taken in at once and judged in the background."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import TypeAdapter, ValidationError
from starlette.background import BackgroundTask

from api.intake.limits import discard
from api.intake.problems import Problem
from api.intake.uploads import Form, receive
from api.routes.current_worker import engine_of
from api.schemas import batch_examples as examples
from api.schemas.batches import BatchFailure, BatchFiles, BatchList, BatchUsage, DeletedBatch, ListedBatch, ShownBatch
from api.security.access import owner
from api.server.openapi import described
from calls.archive import CallArchive
from calls.results import FileRows, WindowRows, lines
from calls.tables import csv_lines, write_xlsx

if TYPE_CHECKING:
    from api.worker.batch_desk import Desk  # brings torch, which the supervising process must not hold

PATH = "/api/batches"
LARGEST_PAGE = 100
_FAILURES = 1_000  # that one answer lists
_LINES = 200  # of results that are sent at once
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MEDIA = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8", "xlsx": _XLSX}
_DAY = 86_400.0
_FLAG = TypeAdapter(bool)

Owner = Annotated[str, Depends(owner)]
router = APIRouter(prefix="/api", tags=["batches"])


def _desk(request: Request) -> Desk:
    desk = engine_of(request).desk
    if desk is None:
        detail = "the service cannot keep batches; whoever runs it finds why in its log"
        raise Problem(503, "no_batches", detail, {"Retry-After": "60"})
    return desk


@router.post(
    "/batches",
    status_code=202,
    response_model=ShownBatch,
    responses=described(examples.problems(400, 401, 408, 413, 415, 422, 429, 501, 503, 507)),
    summary="Take in an archive of calls",
    openapi_extra=examples.REQUEST,
)
async def create_batch(request: Request, response: Response, who: Owner) -> ShownBatch:
    """A zip of recordings, several recordings, or a folder on the service's own machine. Answers as soon as all of it
    is safely on disk; the calls are judged in the background, behind every single prediction."""
    desk = _desk(request)
    try:
        await asyncio.to_thread(desk.require_room, who, _announced(request))
        async with desk.intake() as (batch, folder):
            form = await receive(request, folder / "files", desk.upload_limits)
            _require_content(form)
            sides, transcript = _flag(form, "sides"), _flag(form, "transcript")
            taken = await asyncio.to_thread(desk.take, batch, who, form, sides, transcript)
    except Problem:
        if not getattr(request.state, "arrived", False):  # a client that still sends does not read
            with suppress(Problem):
                await discard(request.receive)
        raise
    response.headers["Location"] = f"{PATH}/{taken.id}"
    return await asyncio.to_thread(_shown, desk, taken)


@router.get(
    "/batches",
    response_model=BatchList,
    responses=described(examples.problems(400, 401, 503)),
    summary="Your batches",
)
def batches(
    request: Request,
    who: Owner,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Batches on this page")] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="Batches before this page")] = 0,
) -> BatchList:
    """Newest first; another key's are never among them."""
    desk = _desk(request)
    count, size = desk.store.usage(who)
    settings = desk.settings
    return BatchList(
        batches=[ListedBatch(**_fields(desk, each)) for each in desk.store.archives(who, limit, offset)],
        total=count,
        limit=limit,
        offset=offset,
        usage=BatchUsage(
            batches=count,
            most_batches=settings.batches_per_key,
            bytes=size,
            most_bytes=settings.batch_bytes_per_key,
        ),
        window_seconds=settings.batch_window_seconds,
        longest_delay_seconds=desk.longest_delay,
    )


@router.get(
    "/batches/{batch}",
    response_model=ShownBatch,
    responses=described(examples.problems(401, 404, 503)),
    summary="How far a batch is",
)
def show_batch(request: Request, batch: str, who: Owner) -> ShownBatch:
    """State, progress, the time left, and which files could not be judged."""
    desk = _desk(request)
    return _shown(desk, desk.find(batch, who))


@router.get(
    "/batches/{batch}/results",
    response_class=StreamingResponse,
    responses={**described(examples.problems(400, 401, 404, 503)), **examples.RESULTS},
    summary="What was found, file by file",
)
def batch_results(
    request: Request,
    batch: str,
    who: Owner,
    form: Annotated[
        Literal["jsonl", "csv", "xlsx"], Query(alias="format", description="JSON lines hold everything")
    ] = "jsonl",
    part: Annotated[
        Literal["files", "windows"], Query(description="Which table a CSV holds; a workbook holds both")
    ] = "files",
) -> Response:
    """Of a batch that still runs, the files that are done so far. No cell of a table is a formula."""
    desk = _desk(request)
    found = desk.find(batch, who)
    name = f"batch-{found.id}" + ("-windows" if form == "csv" and part == "windows" else "") + f".{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if form == "xlsx":
        path = _workbook(desk, found)
        return FileResponse(path, media_type=_XLSX, headers=headers, background=BackgroundTask(os.unlink, path))
    rows = WindowRows if part == "windows" else FileRows
    text = lines(desk.store, found.id) if form == "jsonl" else csv_lines(rows(desk.store, found.id))
    return StreamingResponse(_joined(text), media_type=_MEDIA[form], headers=headers)


@router.post(
    "/batches/{batch}/cancel",
    response_model=ShownBatch,
    responses=described(examples.problems(401, 404, 429, 503)),
    summary="Judge no more of a batch",
)
def cancel_batch(request: Request, batch: str, who: Owner) -> ShownBatch:
    """What is done stays, recordings go. A batch that has ended stays as it is."""
    desk = _desk(request)
    return _shown(desk, desk.cancel(batch, who))


@router.delete(
    "/batches/{batch}",
    response_model=DeletedBatch,
    responses=described(examples.problems(401, 404, 503)),
    summary="Delete a batch with all its data",
)
def delete_batch(request: Request, batch: str, who: Owner) -> DeletedBatch:
    """Recordings, results and every trace of it in the service's files; one that runs is cancelled first."""
    _desk(request).delete(batch, who)
    return DeletedBatch(deleted=batch)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _require_content(form: Form) -> None:
    """Raises `Problem` 400."""
    if bool(form.fields.get("folder")) == bool(form.files):
        detail = "send recordings or a zip in fields 'file', or name a 'folder', one of both"
        raise Problem(400, "no_file", detail)


def _flag(form: Form, name: str) -> bool:
    """Raises `Problem` 400."""
    try:
        return _FLAG.validate_python(form.fields.get(name) or False)
    except ValidationError as error:
        raise Problem(400, "bad_request", f"{name}: must be true or false") from error


def _shown(desk: Desk, batch: CallArchive) -> ShownBatch:
    failures = [
        BatchFailure(file=each.name, code=each.code, detail=each.detail)
        for each in desk.store.failures(batch.id, _FAILURES)
    ]
    return ShownBatch(**_fields(desk, batch), failures=failures)


def _fields(desk: Desk, batch: CallArchive) -> dict[str, Any]:
    ended = batch.finished
    return {
        "id": batch.id,
        "name": batch.name,
        "state": batch.state,
        "created": _moment(batch.created),
        "finished": None if ended is None else _moment(ended),
        "kept_until": None if ended is None else _moment(ended + desk.settings.batch_days * _DAY),
        "sides": batch.listening.each_channel,
        "transcript": batch.listening.transcript,
        "files": BatchFiles.model_validate({"total": sum(batch.files.values()), **batch.files}),
        "progress": batch.progress,
        "seconds_of_sound": batch.seconds,
        "seconds_left": batch.seconds_left,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _workbook(desk: Desk, batch: CallArchive) -> Path:
    handle, name = tempfile.mkstemp(dir=desk.temporary, prefix="results-", suffix=".xlsx")
    os.close(handle)
    try:
        write_xlsx(desk.store, batch.id, Path(name))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _joined(text: Iterable[str]) -> Iterator[str]:
    """Fewer, longer pieces: each one sent costs a turn of the event loop."""
    each = iter(text)
    while piece := "".join(islice(each, _LINES)):
        yield piece

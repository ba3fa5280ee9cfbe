"""Archives: kept first, sent then, asked about until they are judged; all of them by their owner alone.

The service knows them as batches of this application's one key, so whose an archive is stands in our database only.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import select

from web.calls.discards import discard
from web.calls.members import read_member
from web.calls.people import Who, read_table, unmatched, whose
from web.calls.results import Call, Spot, read_calls, spots_of, with_who
from web.database import Batch
from web.files import FileError, Source
from web.service import MissingRoute, OddAnswer, RecordingRefused

if TYPE_CHECKING:
    from web.visit import Member

KEPT = "kept"
REFUSED = "refused"
OPEN = ("waiting", "running")
ENDED = ("done", "cancelled")
_NAME = 200  # characters


class Counts(BaseModel):
    """How many files are in which state."""

    total: int = 0
    done: int = 0
    failed: int = 0


class Status(BaseModel):
    """What the service says of a batch; `progress` 0 to 1, None of `seconds_left`: not known yet."""

    id: str = Field(min_length=1, max_length=200)
    state: Literal["waiting", "running", "done", "cancelled"]
    files: Counts = Counts()
    progress: float = Field(default=0.0, ge=0, le=1)
    seconds_left: float | None = None
    seconds_of_sound: float = 0.0


def keep(seen: Member, archive: Source, name: str, sides: bool, people: bytes | None = None) -> int:
    """Keep an uploaded zip, and a table of who spoke in it; the archive's id. Raises `FileError` or, for the table,
    `TableError`; then nothing is kept."""
    if people is not None:
        read_table(people)
    kept = [seen.files.store(archive, "zip", seen.house.settings.max_archive_bytes)]
    try:
        if people is not None:
            kept.append(seen.files.add(people, "csv"))
        shown = name.replace("\0", "").encode("utf-8", "replace").decode()[-_NAME:] or "zip"  # as databases take it
        row = Batch(user_id=seen.user.id, service_batch="", name=shown, state=KEPT, sides=sides)
        row.archive, row.people, row.answer = kept[0], kept[1] if people is not None else None, {}
        with seen.writing() as session:
            session.add(row)
    except BaseException:
        for each in kept:
            seen.files.remove(each)
        raise
    return row.id


def find(seen: Member, archive_id: int) -> Batch | None:
    """One of the user's own archives."""
    with seen.reading() as session:
        query = select(Batch).where(Batch.id == archive_id, Batch.user_id == seen.user.id)
        return session.scalars(query).one_or_none()


def all_of(seen: Member) -> list[Batch]:
    """The user's archives, the latest first."""
    with seen.reading() as session:
        query = select(Batch).where(Batch.user_id == seen.user.id)
        return list(session.scalars(query.order_by(Batch.created.desc(), Batch.id.desc())))


def send(seen: Member, archive_id: int) -> None:
    """Send a kept archive to the service. Raises `ServiceError`, `FileError`; then it stays kept.

    Where it was sent before and the answer was lost on the way, it is found by its name and not sent twice.
    """
    row = _own(seen, archive_id)
    if row.archive is None or row.service_batch:
        return
    answer = seen.service.batch_named(row.archive)
    try:
        if answer is None:
            with closing(seen.files.open(row.archive)) as archive:
                answer = seen.service.start_batch(archive, row.archive, row.sides)
    except RecordingRefused as error:
        _change(seen, archive_id, state=REFUSED, answer={"code": error.code, "detail": error.detail})
        raise
    status = read_status(answer)
    taken = {"service_batch": status.id, "state": status.state, "answer": status.model_dump()}
    if not _change(seen, archive_id, **taken):  # deleted meanwhile
        seen.service.delete_batch(status.id)


def refresh(seen: Member, archive_id: int) -> Batch:
    """The archive as the service has it now; once it has ended, its results are fetched and kept. Raises
    `ServiceError`, `FileError`; what was known stays."""
    row = _own(seen, archive_id)
    if row.state in OPEN:
        try:
            status = read_status(seen.service.batch(row.service_batch))
        except MissingRoute:
            _change(seen, archive_id, service_batch="", state=KEPT, answer={"lost": True})
            return _own(seen, archive_id)
        _change(seen, archive_id, state=status.state, answer=status.model_dump())
        row = _own(seen, archive_id)
    if row.state in ENDED and row.results is None:
        _fetch(seen, row)
        row = _own(seen, archive_id)
    return row


def cancel(seen: Member, archive_id: int) -> None:
    """Have no more of an archive judged. Raises `ServiceError`."""
    row = _own(seen, archive_id)
    if row.state in OPEN:
        status = read_status(seen.service.cancel_batch(row.service_batch))
        _change(seen, archive_id, state=status.state, answer=status.model_dump())


def delete(seen: Member, archive_id: int) -> None:
    """Delete an archive with its files, its results, and what the service has of it (as soon as it can be asked)."""
    with seen.writing() as session:
        query = select(Batch).where(Batch.id == archive_id, Batch.user_id == seen.user.id)
        row = session.scalars(query).one_or_none()
        if row is None:
            return
        discard(session, [row])
        session.delete(row)
    for name in (row.archive, row.people, row.results):
        if name:
            seen.files.remove(name)
    seen.house.discards.sweep_soon()


def tell_people(seen: Member, archive_id: int, people: bytes) -> None:
    """Keep another table of who spoke. Raises `FileError`, `TableError`; then the old one stays."""
    read_table(people)
    old = _own(seen, archive_id).people
    name = seen.files.add(people, "csv")
    if not _change(seen, archive_id, people=name):
        old = name
    if old:
        seen.files.remove(old)


def calls_of(seen: Member, row: Batch) -> list[Call]:
    """The rows of the results, each with who spoke and when. Raises `FileError`, `TableError`, `OddAnswer`."""
    if row.results is None:
        return []
    with closing(seen.files.open(row.results)) as lines:
        calls = read_calls(lines)
    return with_who(calls, whose((call.file for call in calls), _people(seen, row)))


def strangers(seen: Member, row: Batch, calls: list[Call]) -> list[str]:
    """Names in the table of who spoke that mean none of these calls. Raises `FileError`, `TableError`."""
    return unmatched((call.file for call in calls), _people(seen, row))


def spots(seen: Member, row: Batch, call: Call) -> list[Spot]:
    """Where defects are heard in a call. Raises `FileError`, `OddAnswer`."""
    if row.results is None:
        return []
    with closing(seen.files.open(row.results)) as lines:
        return spots_of(lines, call.line, call.side)


def audio_of(seen: Member, row: Batch, call: Call) -> bytes:
    """A call's recording, out of the kept zip. Raises `FileError`."""
    if row.archive is None:
        raise FileError("file_not_found")
    return read_member(seen.files.find(row.archive), call.file, seen.house.settings.max_upload_bytes)


def read_status(answer: dict[str, Any]) -> Status:
    """Raises `OddAnswer` for what is no batch."""
    try:
        return Status.model_validate(answer)
    except ValidationError as error:
        raise OddAnswer(f"a batch that cannot be read: {error.errors(include_input=False)[0]}") from error


def _fetch(seen: Member, row: Batch) -> None:
    data = seen.service.results_file(row.service_batch)
    with closing(data):
        read_calls(data)  # what cannot be read is not kept in place of what may come
        name = seen.files.store(data, "jsonl", seen.house.settings.max_archive_bytes)
    with seen.writing() as session:
        kept = session.get(Batch, row.id, with_for_update=True)
        first = kept is not None and kept.results is None
        if kept and first:
            kept.results = name
    if not first:  # deleted meanwhile, or another window was faster
        seen.files.remove(name)


def _people(seen: Member, row: Batch) -> dict[str, Who]:
    return read_table(seen.files.read(row.people)) if row.people else {}


def _own(seen: Member, archive_id: int) -> Batch:
    row = find(seen, archive_id)
    if row is None:
        raise FileError("file_not_found")
    return row


def _change(seen: Member, archive_id: int, **values: Any) -> bool:
    """Set fields of an archive; whether it is still there."""
    with seen.writing() as session:
        row = session.get(Batch, archive_id)
        for name, value in values.items() if row else ():
            setattr(row, name, value)
        return row is not None

"""Files that no row names: of a process that was killed between writing the one and the other."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from web.database import Attempt, Batch, Database
from web.files import UPLOAD, FileStore

AGE = 3_600.0  # seconds; a younger one may be named in a moment
_NAMED = (Attempt.audio, Batch.archive, Batch.people, Batch.results)


def delete_orphans(database: Database, files: FileStore, now: datetime) -> None:
    """Delete them, half-written ones as well: they would take their user's room for ever."""
    for owner in files.owners():
        folder = files.of(owner).path
        old = {
            path
            for path in folder.iterdir()
            if path.suffix != f".{UPLOAD}" and path.stat().st_mtime < now.timestamp() - AGE  # `web.uploads` has those
        }
        with database.read() as session:
            known = {
                name
                for column in _NAMED
                for name in session.scalars(select(column).where(column.class_.user_id == owner, column.is_not(None)))
            }
        for path in old:
            if path.name not in known:
                path.unlink(missing_ok=True)

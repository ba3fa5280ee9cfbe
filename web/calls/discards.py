"""Batches that nobody owns any more: the service is asked to delete them until it has."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session as OrmSession

from web.database import Batch, Database, DiscardedBatch
from web.service import MissingRoute, Service, ServiceError

log = logging.getLogger("vnyatno.web")

_AT_ONCE = 100
_END_SECONDS = 2.0  # that closing waits; a sweep that is cut off is taken up by the next one


def discard(session: OrmSession, batches: Iterable[Batch]) -> None:
    """Note, in the transaction that deletes these archives, that the service is to delete them as well."""
    session.add_all(
        DiscardedBatch(service_batch=batch.service_batch, archive=batch.archive or "")
        for batch in batches
        if batch.service_batch or batch.archive
    )


def discard_all(session: OrmSession, user_id: int) -> None:
    """`discard` for all archives of a user."""
    discard(session, session.scalars(select(Batch).where(Batch.user_id == user_id)))


class Discards:
    """Sweeps up after deletions. What cannot be deleted now, since the service is down, is by a later sweep."""

    def __init__(self, database: Database, service: Service) -> None:
        self._database = database
        self._service = service
        self._sweeping = threading.Lock()
        self._closed = False
        self._sweep: threading.Thread | None = None  # the newest in the background

    def sweep(self) -> None:
        """Have the service delete what is discarded; ends at the first thing that it will not do."""
        with self._sweeping:
            try:
                for row in self._rows():
                    if self._closed:
                        return
                    self._delete(row)
                    with self._database.begin() as session:
                        session.execute(delete(DiscardedBatch).where(DiscardedBatch.id == row.id))
            except ServiceError as error:
                log.warning("batches of deleted archives are still with the service: %s", error)

    def sweep_soon(self) -> None:
        """`sweep` in the background, if there is anything to do and nobody is at it."""
        if not self._closed and not self._sweeping.locked() and self._rows():
            self._sweep = threading.Thread(target=self.sweep, name="vnyatno-discards", daemon=True)
            self._sweep.start()

    def close(self) -> None:
        """Begin nothing more, and wait for what the service is asked just now, but not for long."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.join(_END_SECONDS)

    def _rows(self) -> list[DiscardedBatch]:
        with self._database.read() as session:
            return list(session.scalars(select(DiscardedBatch).order_by(DiscardedBatch.id).limit(_AT_ONCE)))

    def _delete(self, row: DiscardedBatch) -> None:
        known = row.service_batch
        if not known:  # it may have been taken by the service though its answer never came
            try:
                found = self._service.batch_named(row.archive)
            except MissingRoute:
                return
            known = str(found["id"]) if found else ""
        if known:
            self._service.delete_batch(known)

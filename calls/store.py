"""All archives and their calls, in one SQLite file that several processes share.

    batches.sqlite      archives, their calls, windows that were judged
    <batch>/            what was uploaded; `lock` while it is taken in
    holders/<holder>    a locked file for each process that judges; what it unpacked or writes in `.work/<holder>/`

An archive is there when its rows are: a folder without rows is what a broken intake left. What one process judges is in
one transaction with the proof that the call is still its own.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calls.archive import (
    ArchiveState,
    CallArchive,
    Failure,
    NewCall,
    NewCallArchive,
    listening_as_dict,
    listening_from_dict,
)
from calls.errors import IntakeError

FILE = "batches.sqlite"
_PATIENCE = 30.0  # seconds that a transaction waits for another process's
_NEWEST = 50  # calls of an archive by whose time the rest is measured
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, root TEXT,
    listening TEXT NOT NULL, bytes INTEGER NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, finished REAL
);
CREATE INDEX IF NOT EXISTS batches_owner ON batches (owner, created);
CREATE TABLE IF NOT EXISTS items (
    batch TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, bytes INTEGER NOT NULL,
    state TEXT NOT NULL, code TEXT, detail TEXT, holder TEXT, bundle TEXT, deaths INTEGER NOT NULL DEFAULT 0,
    started REAL, finished REAL, part REAL NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, heard TEXT,
    verdicts TEXT, PRIMARY KEY (batch, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_state ON items (batch, state, number);
CREATE INDEX IF NOT EXISTS items_suspect ON items (batch, number) WHERE deaths > 0;
CREATE INDEX IF NOT EXISTS items_holder ON items (holder) WHERE holder IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_started ON items (batch, started) WHERE started IS NOT NULL;
CREATE TABLE IF NOT EXISTS windows (
    batch TEXT NOT NULL, number INTEGER NOT NULL, side INTEGER NOT NULL, place INTEGER NOT NULL, judged TEXT NOT NULL,
    PRIMARY KEY (batch, number, side, place)
) WITHOUT ROWID;
"""

# How many calls of an archive are in each state, kept up by the database itself: to count them at each look would make
# an archive of many calls cost the square of their number. `begun` are bytes, those of which a part is done.
_TALLIES = """
CREATE TABLE tallies (
    batch TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, begun REAL NOT NULL,
    seconds REAL NOT NULL, PRIMARY KEY (batch, state)
) WITHOUT ROWID;
INSERT INTO tallies
    SELECT batch, state, count(*), sum(bytes), sum(bytes * part), sum(seconds) FROM items GROUP BY batch, state;
"""
_MORE = """
    INSERT INTO tallies VALUES (new.batch, new.state, 1, new.bytes, new.bytes * new.part, new.seconds)
    ON CONFLICT (batch, state) DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes,
    begun = begun + excluded.begun, seconds = seconds + excluded.seconds;
"""
_LESS = """
    UPDATE tallies SET count = count - 1, bytes = bytes - old.bytes, begun = begun - old.bytes * old.part,
    seconds = seconds - old.seconds WHERE batch = old.batch AND state = old.state;
    DELETE FROM tallies WHERE batch = old.batch AND state = old.state AND count = 0;
"""
_TRIGGERS = (
    f"CREATE TRIGGER items_added AFTER INSERT ON items BEGIN {_MORE} END",
    f"CREATE TRIGGER items_changed AFTER UPDATE OF state, bytes, part, seconds ON items BEGIN {_LESS} {_MORE} END",
    f"CREATE TRIGGER items_gone AFTER DELETE ON items BEGIN {_LESS} END",
)


@dataclass(frozen=True)
class Quota:
    """What one owner may have: archives, and bytes on disk of recordings that are still to be judged."""

    archives: int
    bytes: int


class Store:
    """Archives below `folder`, which is made. May be used from any thread; every call is one transaction."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError or sqlite3.Error where the file cannot be used."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._connections = threading.local()
        with self.transaction() as rows:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                rows.execute(statement)
            if not rows.execute("SELECT 1 FROM sqlite_master WHERE name = 'tallies'").fetchone():
                for statement in (*filter(str.strip, _TALLIES.split(";")), *_TRIGGERS):
                    rows.execute(statement)

    def folder_of(self, archive: str) -> Path:
        """Where the archive's uploads are; `archive` is an id that was made here, never a client's word."""
        return self.folder / archive

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Rows to read and write; all of it is done, or nothing. Raises sqlite3.Error."""
        rows = self._connection()
        rows.execute("BEGIN IMMEDIATE")
        try:
            yield rows
            rows.execute("COMMIT")
        except BaseException:
            if rows.in_transaction:
                rows.execute("ROLLBACK")
            raise

    def read(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows at once: a query that is left open would keep others' changes from being seen, and from disk."""
        return self._connection().execute(query, values).fetchall()

    def _connection(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._connections, "rows", None)
        if known is None:
            # Closed by the garbage collector in whatever thread that runs.
            known = sqlite3.connect(
                self.folder / FILE, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            known.row_factory = sqlite3.Row
            known.execute("PRAGMA journal_mode = WAL")
            known.execute("PRAGMA synchronous = FULL")  # an archive that was promised survives a power cut, too
            known.execute("PRAGMA secure_delete = ON")  # what is deleted is no longer in the file
            self._connections.rows = known
        return known

    def add(self, archive: NewCallArchive, items: Iterable[NewCall], quota: Quota | None = None) -> None:
        """Take an archive in: from now on it is there and will be judged. `items` are numbered as they come.

        Raises `IntakeError` `too_many_batches` or `quota_bytes` where the owner has as much as `quota` allows.
        """
        now = time.time()
        with self.transaction() as rows:
            if quota is not None:
                self.require_quota(archive.owner, archive.bytes, quota)
            rows.execute(
                "INSERT INTO batches (id, owner, kind, name, root, listening, bytes, state, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?)",
                (
                    archive.id, archive.owner, archive.kind, archive.name, archive.root,
                    json.dumps(listening_as_dict(archive.listening)), archive.bytes, now,
                ),
            )  # fmt: skip
            rows.executemany(
                "INSERT INTO items (batch, number, name, source, bytes, state, code, detail) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        archive.id, number, item.name, item.source, item.bytes,
                        "failed" if item.code else "waiting", item.code, item.detail,
                    )
                    for number, item in enumerate(items)
                ),
            )  # fmt: skip
            settle(rows, archive.id)

    def archive(self, archive: str, owner: str | None = None) -> CallArchive | None:
        """The archive, or None where there is none, or it is another owner's; `owner` None: anybody's."""
        found = self.read("SELECT * FROM batches WHERE id = ? AND ifnull(?, owner) = owner", (archive, owner))
        return self._shown(found[0]) if found else None

    def state(self, archive: str) -> str | None:
        """The archive's state as it is stored; None where there is no such archive."""
        found = self.read("SELECT state FROM batches WHERE id = ?", (archive,))
        return found[0]["state"] if found else None

    def archives(self, owner: str, limit: int, offset: int = 0) -> list[CallArchive]:
        """The owner's, newest first."""
        query = "SELECT * FROM batches WHERE owner = ? ORDER BY created DESC, id LIMIT ? OFFSET ?"
        return [self._shown(row) for row in self.read(query, (owner, limit, offset))]

    def usage(self, owner: str) -> tuple[int, int]:
        """How many archives the owner has, and how many bytes of those that are not done lie on this disk."""
        query = "SELECT count(*), ifnull(sum(bytes) FILTER (WHERE state = 'running'), 0) FROM batches WHERE owner = ?"
        ((count, size),) = self.read(query, (owner,))
        return count, size

    def require_quota(self, owner: str, more: int, quota: Quota) -> None:
        """Raises `IntakeError` where one more archive of so many bytes is more than the owner may have."""
        count, size = self.usage(owner)
        if count >= quota.archives:
            raise IntakeError(
                "too_many_batches", f"there are {count} batches already, as many as one key may have; delete some"
            )
        if size + more > quota.bytes:
            most = quota.bytes / 1e9
            raise IntakeError(
                "quota_bytes",
                f"recordings that wait would be more than the {most:.1f} GB that a key may have; wait, or cancel some",
            )

    def failures(self, archive: str, limit: int, offset: int = 0) -> list[Failure]:
        """Files that were not judged, in order."""
        query = (
            "SELECT name, code, detail FROM items WHERE batch = ? AND state = 'failed' ORDER BY number LIMIT ? OFFSET ?"
        )
        return [Failure(*row) for row in self.read(query, (archive, limit, offset))]

    def cancel(self, archive: str) -> None:
        """Judge no more of it; what is done stays. Of an archive that has ended nothing changes."""
        with self.transaction() as rows:
            changed = rows.execute(
                "UPDATE batches SET state = 'cancelled', finished = ? WHERE id = ? AND state = 'running'",
                (time.time(), archive),
            )
            if changed.rowcount:
                rows.execute(
                    "DELETE FROM windows WHERE batch = ?1 AND number IN "
                    "(SELECT number FROM items WHERE batch = ?1 AND state IN ('waiting', 'running'))",
                    (archive,),
                )
                rows.execute(
                    "UPDATE items SET state = 'cancelled', holder = NULL "
                    "WHERE batch = ? AND state IN ('waiting', 'running')",
                    (archive,),
                )

    def forget(self, archive: str) -> None:
        """Remove every row of it; whoever judges a call of it finds that it is gone."""
        with self.transaction() as rows:
            for table, column in (("windows", "batch"), ("items", "batch"), ("batches", "id")):
                rows.execute(f"DELETE FROM {table} WHERE {column} = ?", (archive,))

    def wipe(self) -> None:
        """Empty the write-ahead log, where what was deleted still stands. What another process reads just now is left
        to the next call."""
        self.read("PRAGMA wal_checkpoint(TRUNCATE)")

    def _shown(self, row: sqlite3.Row) -> CallArchive:
        counts = self.read("SELECT * FROM tallies WHERE batch = ?", (row["id"],))
        files = {each["state"]: each["count"] for each in counts}
        ended = ("done", "failed")
        done = sum(each["bytes"] if each["state"] in ended else each["begun"] for each in counts)
        total = sum(each["bytes"] for each in counts)
        state: ArchiveState = row["state"]
        if state == "running" and not any(files.get(name) for name in ("running", "done")):
            state = "waiting"
        return CallArchive(
            id=row["id"],
            owner=row["owner"],
            kind=row["kind"],
            name=row["name"],
            state=state,
            created=row["created"],
            finished=row["finished"],
            listening=listening_from_dict(json.loads(row["listening"])),
            files=files,
            bytes_total=total,
            bytes_done=done,
            seconds=sum(each["seconds"] for each in counts),
            seconds_left=self._left(row["id"], total - done, files) if state == "running" else None,
        )

    def _left(self, archive: str, size: float, files: dict[str, int]) -> float | None:
        """Seconds that `size` bytes will take, by what its newest calls took and how many are judged at once."""
        query = (
            "SELECT sum(bytes * part), sum(took) FROM (SELECT bytes, CASE state WHEN 'done' THEN 1 ELSE part END AS "
            "part, ifnull(finished, ?) - started AS took FROM items INDEXED BY items_started WHERE batch = ? "
            "AND state IN ('running', 'done') "
            "AND started IS NOT NULL ORDER BY started DESC LIMIT ?)"
        )
        ((judged, took),) = self.read(query, (time.time(), archive, _NEWEST))
        return None if not judged else max(0.0, size * took / judged / max(1, files.get("running", 0)))


def settle(rows: sqlite3.Connection, archive: str) -> None:
    """Within a transaction: an archive of which nothing waits and nothing runs is done."""
    rows.execute(
        "UPDATE batches SET state = 'done', finished = ? WHERE id = ? AND state = 'running' AND NOT EXISTS "
        "(SELECT 1 FROM items WHERE batch = ? AND state IN ('waiting', 'running'))",
        (time.time(), archive, archive),
    )

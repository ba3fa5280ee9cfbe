"""Who judges which call: taken, kept up and finished in transactions that hold only while the call is the taker's."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from calls.archive import Claim, listening_from_dict
from calls.holders import Locked, is_held
from calls.store import Store, settle
from calls.temporary import HOLDERS, remove_temporary
from speech.defects.judged_window import JudgedWindow
from speech.defects.recording_verdict import RecordingVerdict

MOST_DEATHS = 3
"""Processes that may end while they judge one call, without a window in between, before it is given up."""

# A call has one of these states: it is waiting until a process takes it (running, `holder` names the process), and ends
# as done, failed or cancelled. `deaths` counts the processes that ended while they judged it, since its last window.
_CALL = "i.batch, i.number, i.name, i.source, i.bundle, b.kind, b.root, b.listening"

# The first waiting call that a process has died of.
_SUSPECT = f"""
    SELECT {_CALL}
    FROM items AS i
    JOIN batches AS b ON b.id = i.batch
    WHERE b.state = 'running' AND i.state = 'waiting' AND i.deaths > 0
    ORDER BY i.batch, i.number
    LIMIT 1
"""

# The first waiting call of the archive that has the fewest calls in work, of several such archives of the oldest: a
# small archive does not wait for the end of a large one. SQLite is told the index: by the primary key it would pass
# over all calls that are done.
_WAITING = f"""
    WITH fewest AS (
        SELECT *
        FROM batches AS one
        WHERE state = 'running'
          AND EXISTS (SELECT 1 FROM items WHERE batch = one.id AND state = 'waiting')
        ORDER BY (SELECT count(*) FROM items WHERE batch = one.id AND state = 'running'), created
        LIMIT 1
    )
    SELECT {_CALL}
    FROM fewest AS b
    JOIN items AS i INDEXED BY items_state ON i.batch = b.id AND i.state = 'waiting'
    ORDER BY i.number
    LIMIT 1
"""

_TAKE = "UPDATE items SET state = 'running', holder = ?, started = ? WHERE batch = ? AND number = ?"
_OWN = "SELECT 1 FROM items WHERE batch = ? AND number = ? AND state = 'running' AND holder = ?"
_KEEP_WINDOW = "INSERT INTO windows (batch, number, side, place, judged) VALUES (?, ?, ?, ?, ?)"
_CHANGE_WINDOW = "UPDATE windows SET judged = ? WHERE batch = ? AND number = ? AND side = ? AND place = ?"
_KEEP_PART = "UPDATE items SET part = ?, deaths = 0 WHERE batch = ? AND number = ?"
_DROP_WINDOWS = "DELETE FROM windows WHERE batch = ? AND number = ?"
_START_OVER = "UPDATE items SET bundle = ?, part = 0 WHERE batch = ? AND number = ?"
_RELEASE = "UPDATE items SET state = 'waiting', holder = NULL WHERE batch = ? AND number = ?"
_RELEASE_ALL = "UPDATE items SET state = 'waiting', holder = NULL WHERE holder = ? AND state = 'running'"

# What a dead process held waits again, and remembers the death.
_FREE = """
    UPDATE items SET state = 'waiting', holder = NULL, deaths = deaths + 1
    WHERE holder = ? AND state = 'running'
"""
_GIVE_UP = """
    UPDATE items SET state = 'failed', code = 'given_up', detail = ?, finished = ?
    WHERE state = 'waiting' AND deaths >= ?
    RETURNING batch
"""
_FINISH = """
    UPDATE items SET state = 'done', holder = NULL, part = 1, seconds = ?, heard = ?, verdicts = ?, finished = ?
    WHERE batch = ? AND number = ?
"""
_FAIL = """
    UPDATE items SET state = 'failed', holder = NULL, code = ?, detail = ?, finished = ?
    WHERE batch = ? AND number = ?
"""

WindowKey = tuple[int, int]
"""Channel (-1: all of them mixed) and place among the channel's windows, from 0."""


class Lost(Exception):
    """The call is no longer this process's: its archive was cancelled or deleted."""


class Claims:
    """One process's claims in a store; `close` gives them back. Thread-safe."""

    def __init__(self, store: Store) -> None:
        """Raises OSError where no file can be locked."""
        self._store = store
        self._folder = store.folder / HOLDERS
        self.holder = uuid.uuid4().hex
        self._lock = Locked(self._folder / self.holder)

    def close(self) -> None:
        """Let others judge what this process has not finished. Raises sqlite3.Error; the lock is given up all the
        same."""
        try:
            with self._store.transaction() as rows:
                rows.execute(_RELEASE_ALL, (self.holder,))
        finally:
            remove_temporary(self._store.folder, self.holder)
            self._lock.close()

    def bury(self) -> int:
        """Free the calls of processes that have died; how many. What they judged of them stays."""
        query = "SELECT DISTINCT holder FROM items WHERE holder IS NOT NULL"
        dead = [name for (name,) in self._store.read(query) if name != self.holder and not is_held(self._folder / name)]
        count = 0
        for name in dead:
            count += self._free(name)
            (self._folder / name).unlink(missing_ok=True)
            remove_temporary(self._store.folder, name)
        return count

    def _free(self, holder: str) -> int:
        """Free the calls of a dead process, and give up those that too many have died of; how many were freed."""
        reason = f"the service ended {MOST_DEATHS} times while it judged this file; it is not tried again"
        with self._store.transaction() as rows:
            freed = rows.execute(_FREE, (holder,)).rowcount
            given_up = rows.execute(_GIVE_UP, (reason, time.time(), MOST_DEATHS)).fetchall()
            for (archive,) in set(map(tuple, given_up)):
                settle(rows, archive)
        return freed

    def take(self, bundle: str) -> Claim | None:
        """A call that nobody judges, of the archive that has the fewest in work; None where there is none.

        A call that a process has died of is taken first, and alone: what it may do to this process is done to no other
        call. What was judged of a call under another bundle is dropped.
        """
        if not self._store.read(_WAITING):  # most looks find nothing, and need not lock anybody out
            return None
        with self._store.transaction() as rows:
            call = self._next(rows)
            if call is None:
                return None
            rows.execute(_TAKE, (self.holder, time.time(), call["batch"], call["number"]))
            if call["bundle"] != bundle:
                _start_over(rows, call["batch"], call["number"], bundle)
            # Within the transaction: what cannot be read is not claimed either.
            return Claim(
                archive=call["batch"],
                number=call["number"],
                name=call["name"],
                source=call["source"],
                bundle=bundle,
                holder=self.holder,
                kind=call["kind"],
                root=call["root"],
                listening=listening_from_dict(json.loads(call["listening"])),
            )

    def _next(self, rows: sqlite3.Connection) -> sqlite3.Row | None:
        """Which call to take; None also where one that a process has died of must be alone."""
        query = "SELECT deaths FROM items WHERE holder = ? AND state = 'running'"
        in_work = [deaths for (deaths,) in rows.execute(query, (self.holder,))]
        suspect: sqlite3.Row | None = rows.execute(_SUSPECT).fetchone()
        if any(in_work) or (suspect is not None and in_work):
            return None
        waiting: sqlite3.Row | None = rows.execute(_WAITING).fetchone()
        return suspect or waiting

    def start_over(self, claim: Claim, bundle: str) -> Claim:
        """The same call under another bundle; nothing of the old one's stays. Raises `Lost`."""
        with self._own(claim) as rows:
            _start_over(rows, claim.archive, claim.number, bundle)
        return replace(claim, bundle=bundle)

    def judged(self, claim: Claim) -> dict[WindowKey, JudgedWindow]:
        """Windows of the call that were judged under its bundle already."""
        query = "SELECT side, place, judged FROM windows WHERE batch = ? AND number = ?"
        rows = self._store.read(query, (claim.archive, claim.number))
        return {(channel, place): JudgedWindow.from_dict(json.loads(text)) for channel, place, text in rows}

    def keep(self, claim: Claim, windows: Sequence[tuple[WindowKey, JudgedWindow]], part: float) -> None:
        """Keep windows that were judged; `part` of the call, 0 to 1, is done. Raises `Lost`."""
        with self._own(claim) as rows:
            rows.executemany(
                _KEEP_WINDOW,
                [(claim.archive, claim.number, *key, _json(window.as_dict())) for key, window in windows],
            )
            rows.execute(_KEEP_PART, (part, claim.archive, claim.number))

    def finish(
        self,
        claim: Claim,
        summary: dict[str, Any],
        verdicts: Sequence[RecordingVerdict],
        changed: Sequence[tuple[WindowKey, JudgedWindow]] = (),
    ) -> None:
        """The call is done; `changed` are windows of which something else is said than was kept. Raises `Lost`."""
        outcome = (summary["seconds"], _json(summary), _json([verdict.as_dict() for verdict in verdicts]), time.time())
        with self._own(claim) as rows:
            rows.executemany(
                _CHANGE_WINDOW,
                [(_json(window.as_dict()), claim.archive, claim.number, *key) for key, window in changed],
            )
            rows.execute(_FINISH, (*outcome, claim.archive, claim.number))
            settle(rows, claim.archive)

    def fail(self, claim: Claim, code: str, detail: str) -> None:
        """The call cannot be judged; its windows that were judged go. Raises `Lost`."""
        with self._own(claim) as rows:
            rows.execute(_DROP_WINDOWS, (claim.archive, claim.number))
            rows.execute(_FAIL, (code, detail, time.time(), claim.archive, claim.number))
            settle(rows, claim.archive)

    def release(self, claim: Claim) -> None:
        """Give the call back; what was judged of it stays. Raises `Lost`."""
        with self._own(claim) as rows:
            rows.execute(_RELEASE, (claim.archive, claim.number))

    @contextmanager
    def _own(self, claim: Claim) -> Iterator[sqlite3.Connection]:
        """A transaction in which the call is the claim's. Raises `Lost` where it is not."""
        with self._store.transaction() as rows:
            own = rows.execute(_OWN, (claim.archive, claim.number, claim.holder)).fetchone()
            if own is None:
                raise Lost(f"{claim.name} of batch {claim.archive} is no longer this process's")
            yield rows


def _start_over(rows: sqlite3.Connection, archive: str, number: int, bundle: str) -> None:
    rows.execute(_DROP_WINDOWS, (archive, number))
    rows.execute(_START_OVER, (bundle, archive, number))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

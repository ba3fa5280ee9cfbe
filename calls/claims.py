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

from calls.batch import Claim
from calls.holders import Locked, is_held
from calls.store import Store, settle
from speech.defects.recording_verdict import JudgedWindow, Verdict
from speech.longform.cutter import Listening

MOST_DEATHS = 3
"""Processes that may end while they judge one call, without a window in between, before it is given up."""

_ITEM = "SELECT i.batch, i.number, i.name, i.source, i.bundle, b.kind, b.root, b.listening FROM "
_SUSPECT = (
    f"{_ITEM} items AS i JOIN batches AS b ON b.id = i.batch WHERE b.state = 'running' AND i.state = 'waiting' "
    "AND i.deaths > 0 ORDER BY i.batch, i.number LIMIT 1"
)
_WAITING = (
    f"{_ITEM} (SELECT * FROM batches AS b WHERE state = 'running' AND EXISTS (SELECT 1 FROM items WHERE batch = b.id "
    "AND state = 'waiting') ORDER BY (SELECT count(*) FROM items WHERE batch = b.id AND state = 'running'), created "
    "LIMIT 1) AS b JOIN items AS i INDEXED BY items_state ON i.batch = b.id AND i.state = 'waiting' ORDER BY i.number "
    "LIMIT 1"
)

WindowKey = tuple[int, int]
"""Side (-1: all channels mixed) and place among the side's windows, from 0."""


class Lost(Exception):
    """The call is no longer this process's: its batch was cancelled or deleted."""


class Claims:
    """One process's claims in a store; `close` gives them back. Thread-safe."""

    def __init__(self, store: Store) -> None:
        """Raises OSError where no file can be locked."""
        self._store = store
        self._folder = store.folder / "holders"
        self.holder = uuid.uuid4().hex
        self._lock = Locked(self._folder / self.holder)

    def close(self) -> None:
        """Let others judge what this process has not finished. Raises sqlite3.Error; the lock is given up all the
        same."""
        try:
            with self._store.transaction() as rows:
                rows.execute(
                    "UPDATE items SET state = 'waiting', holder = NULL WHERE holder = ? AND state = 'running'",
                    (self.holder,),
                )
        finally:
            self._lock.close()

    def bury(self) -> int:
        """Free the calls of processes that have died; how many. What they judged of them stays."""
        query = "SELECT DISTINCT holder FROM items WHERE holder IS NOT NULL"
        dead = [name for (name,) in self._store.read(query) if name != self.holder and not is_held(self._folder / name)]
        count = 0
        for name in dead:
            count += self._free(name)
            (self._folder / name).unlink(missing_ok=True)
        return count

    def _free(self, holder: str) -> int:
        with self._store.transaction() as rows:
            freed = rows.execute(
                "UPDATE items SET state = 'waiting', holder = NULL, deaths = deaths + 1 "
                "WHERE holder = ? AND state = 'running'",
                (holder,),
            ).rowcount
            given_up = rows.execute(
                "UPDATE items SET state = 'failed', code = 'given_up', detail = ?, finished = ? "
                "WHERE state = 'waiting' AND deaths >= ? RETURNING batch",
                (
                    f"the service ended {MOST_DEATHS} times while it judged this file; it is not tried again",
                    time.time(),
                    MOST_DEATHS,
                ),
            ).fetchall()
            for (batch,) in set(map(tuple, given_up)):
                settle(rows, batch)
        return freed

    def take(self, bundle: str) -> Claim | None:
        """A call that nobody judges, of the batch that has the fewest in work; None where there is none.

        A call whose process ended while it was judged is taken first, and alone: what it may do to this process is done
        to no other call. What was judged of a call under another bundle is dropped.
        """
        if not self._store.read(_WAITING):  # most looks find nothing, and need not lock anybody out
            return None
        with self._store.transaction() as rows:
            query = "SELECT deaths FROM items WHERE holder = ? AND state = 'running'"
            beside = [deaths for (deaths,) in rows.execute(query, (self.holder,))]
            suspect = rows.execute(_SUSPECT).fetchone()
            if any(beside) or (suspect and beside):
                return None
            item = suspect or rows.execute(_WAITING).fetchone()
            if item is None:
                return None
            rows.execute(
                "UPDATE items SET state = 'running', holder = ?, started = ? WHERE batch = ? AND number = ?",
                (self.holder, time.time(), item["batch"], item["number"]),
            )
            if item["bundle"] != bundle:
                _start_over(rows, item["batch"], item["number"], bundle)
        return Claim(
            batch=item["batch"],
            number=item["number"],
            name=item["name"],
            source=item["source"],
            bundle=bundle,
            holder=self.holder,
            kind=item["kind"],
            root=item["root"],
            listening=Listening(**json.loads(item["listening"])),
        )

    def start_over(self, claim: Claim, bundle: str) -> Claim:
        """The same call under another bundle; nothing of the old one's stays. Raises `Lost`."""
        with self._own(claim) as rows:
            _start_over(rows, claim.batch, claim.number, bundle)
        return replace(claim, bundle=bundle)

    def judged(self, claim: Claim) -> dict[WindowKey, JudgedWindow]:
        """Windows of the call that were judged under its bundle already."""
        query = "SELECT side, place, judged FROM windows WHERE batch = ? AND number = ?"
        rows = self._store.read(query, (claim.batch, claim.number))
        return {(side, place): JudgedWindow.from_dict(json.loads(text)) for side, place, text in rows}

    def keep(self, claim: Claim, windows: Sequence[tuple[WindowKey, JudgedWindow]], part: float) -> None:
        """Keep windows that were judged; `part` of the call, 0 to 1, is done. Raises `Lost`."""
        with self._own(claim) as rows:
            rows.executemany(
                "INSERT INTO windows (batch, number, side, place, judged) VALUES (?, ?, ?, ?, ?)",
                [(claim.batch, claim.number, *key, _json(window.as_dict())) for key, window in windows],
            )
            rows.execute(
                "UPDATE items SET part = ?, deaths = 0 WHERE batch = ? AND number = ?",
                (part, claim.batch, claim.number),
            )

    def finish(self, claim: Claim, summary: dict[str, Any], verdicts: Sequence[Verdict]) -> None:
        """The call is done. Raises `Lost`."""
        with self._own(claim) as rows:
            rows.execute(
                "UPDATE items SET state = 'done', holder = NULL, part = 1, seconds = ?, heard = ?, verdicts = ?, "
                "finished = ? WHERE batch = ? AND number = ?",
                (
                    summary["seconds"], _json(summary), _json([one.as_dict() for one in verdicts]), time.time(),
                    claim.batch, claim.number,
                ),
            )  # fmt: skip
            settle(rows, claim.batch)

    def fail(self, claim: Claim, code: str, detail: str) -> None:
        """The call cannot be judged; windows of it that were go. Raises `Lost`."""
        with self._own(claim) as rows:
            rows.execute("DELETE FROM windows WHERE batch = ? AND number = ?", (claim.batch, claim.number))
            rows.execute(
                "UPDATE items SET state = 'failed', holder = NULL, code = ?, detail = ?, finished = ? "
                "WHERE batch = ? AND number = ?",
                (code, detail, time.time(), claim.batch, claim.number),
            )
            settle(rows, claim.batch)

    def release(self, claim: Claim) -> None:
        """Give the call back; what was judged of it stays. Raises `Lost`."""
        with self._own(claim) as rows:
            rows.execute(
                "UPDATE items SET state = 'waiting', holder = NULL WHERE batch = ? AND number = ?",
                (claim.batch, claim.number),
            )

    @contextmanager
    def _own(self, claim: Claim) -> Iterator[sqlite3.Connection]:
        """A transaction in which the call is the claim's. Raises `Lost` where it is not."""
        with self._store.transaction() as rows:
            own = rows.execute(
                "SELECT 1 FROM items WHERE batch = ? AND number = ? AND state = 'running' AND holder = ?",
                (claim.batch, claim.number, claim.holder),
            ).fetchone()
            if own is None:
                raise Lost(f"{claim.name} of batch {claim.batch} is no longer this process's")
            yield rows


def _start_over(rows: sqlite3.Connection, batch: str, number: int, bundle: str) -> None:
    rows.execute("DELETE FROM windows WHERE batch = ? AND number = ?", (batch, number))
    rows.execute("UPDATE items SET bundle = ?, part = 0 WHERE batch = ? AND number = ?", (bundle, batch, number))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

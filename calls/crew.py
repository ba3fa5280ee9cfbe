"""The threads of one process that judge calls, whenever there are some."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from calls.archive import Claim
from calls.claims import Claims, Lost
from calls.keeping import remove_uploads, sweep
from calls.sources import Sources
from calls.store import Store
from calls.temporary import temporary_folder
from calls.work import Stopped, Submit, Tools, judge_call
from speech.bundles.defects import LoadedBundle
from speech.longform.cutter import LongLimits, hearing_server
from speech.process import background
from speech.whisper.backend import TranscriberError
from speech.whisper.hearer_pool import HearerPool

log = logging.getLogger("vnyatno.calls")

POLL_SECONDS = 1.0  # between two looks for calls that another process took in
_PAUSE_SECONDS = 10.0  # after a fault of the machine
_SWEEP_SECONDS = 600.0
_END_SECONDS = 5.0  # that closing waits for threads


class Crew:
    """Judges the calls of a store until it is closed."""

    def __init__(
        self,
        store: Store,
        current: Callable[[], LoadedBundle | None],
        submit: Submit,
        limits: Callable[[LoadedBundle], LongLimits],
        hearers: HearerPool,
        cores: int,
        keep_days: float | None = None,
        threads: int | None = None,
    ) -> None:
        """`current`, `limits` and `hearers` as `calls.work.Tools` has them; `cores`: windows that are computed at
        once; `keep_days`: archives older than that are deleted, None: none. `threads`: calls judged at once; more than
        cores, so that decoding one keeps no core waiting."""
        self._store = store
        self._keep_days = keep_days
        self._threads = threads or min(cores + 3, 6)
        self._end = threading.Event()
        self._woken = threading.Condition()
        self._claims = Claims(store)
        self._sources = Sources(store.folder)
        self._hearing = hearing_server()
        self._tools = Tools(
            self._claims,
            self._sources,
            current,
            submit,
            limits,
            cores + 1,
            self._end.is_set,
            self._hearing,
            hearers,
        )
        self._workers: list[threading.Thread] = []
        self._working = 0

    @property
    def temporary(self) -> Path:
        """A folder for files of this process, there until it ends."""
        return temporary_folder(self._store.folder, self._claims.holder)

    def start(self) -> None:
        """Begin. Calls that died with another process are taken up at once."""
        for number in range(self._threads):
            worker = background.thread(f"calls-{number}", self._work, number == 0)
            self._workers.append(worker)
            worker.start()

    def wake(self) -> None:
        """Look now whether there is something to judge."""
        with self._woken:
            self._woken.notify_all()

    def close(self) -> None:
        """Give unfinished calls back; what was judged of them stays."""
        self._end.set()
        self.wake()
        background.ended(self._workers, _END_SECONDS)
        try:
            self._claims.close()
        except sqlite3.Error as error:
            log.warning("calls in work were not given back, the next process will find them: %s", error)
        self._sources.close()
        self._hearing.close()
        self._tools.hearers.rest()

    def _work(self, first: bool) -> None:
        swept = 0.0
        while not self._end.is_set():
            try:
                if first:
                    buried = self._claims.bury()
                    if buried or time.monotonic() - swept > _SWEEP_SECONDS or not swept:
                        swept = time.monotonic()
                        sweep(self._store, self._keep_days)
                claim = self._next()
                if claim is not None:
                    self._judge(claim)
                    continue
                if first and not self._working:
                    self._sources.close()
                    self._hearing.rest()
                    self._tools.hearers.rest()
            except Exception:  # the thread must outlive every surprise, or archives would stand still
                log.exception("batches pause for %g s", _PAUSE_SECONDS)
                self._wait(_PAUSE_SECONDS)
            self._wait(POLL_SECONDS)

    def _wait(self, seconds: float) -> None:
        with self._woken:
            if not self._end.is_set():
                self._woken.wait(seconds)

    def _next(self) -> Claim | None:
        bundle = self._tools.current()
        return None if bundle is None else self._claims.take(bundle.id)

    def _judge(self, claim: Claim) -> None:
        with self._woken:
            self._working += 1
        try:
            judge_call(claim, self._tools)
            remove_uploads(self._store, claim.archive)
        except Lost:
            remove_uploads(self._store, claim.archive)
        except Stopped:
            self._surely(lambda: self._claims.release(claim))
        except (OSError, sqlite3.Error, TranscriberError) as error:
            log.error("a call cannot be judged now, batches pause for %g s: %s", _PAUSE_SECONDS, error)
            self._wait(_PAUSE_SECONDS)
            self._surely(lambda: self._claims.release(claim))
        except Exception as error:  # of any kind: one call fails with its reason, the others are judged
            log.exception("a call of batch %s failed", claim.archive)
            detail = f"the service failed on this file ({type(error).__name__}); its log says why"
            self._surely(lambda: self._claims.fail(claim, "internal", detail))
        finally:
            with self._woken:
                self._working -= 1

    def _surely(self, end: Callable[[], None]) -> None:
        """Tried until it succeeds: a call that stays claimed by a living process is judged by nobody."""
        while True:
            try:
                end()
                return
            except Lost:
                return
            except sqlite3.Error as error:
                if self._end.is_set():
                    return
                log.error("what became of a call cannot be kept yet: %s", error)
                self._wait(_PAUSE_SECONDS)

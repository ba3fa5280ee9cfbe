"""All processes of one data folder: checked before, started in order, kept going, and ended together.

While they start, the first one that ends is an error, and nothing goes on: somebody is looking on, and what stops a
start (a setting, a port, a full disk) is seldom gone a second later. Once all were ready, a part that dies is started
again, and the others go on meanwhile.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock

from deploy.addresses import Addresses, require_free
from deploy.run.claim import StackError, require_writable, state_file, take
from deploy.run.logbook import Logbook
from deploy.run.parts import ROOT, Part, environment, health_urls, listening
from deploy.run.processes import end, end_marked
from deploy.run.restarts import Restarts
from deploy.run.running import Running
from speech.files import write_atomically, write_json
from speech.home import Home

GRACE_SECONDS = 6.0  # the service gives its requests 5 s; with the killing after it everything is over within 10 s
_LOOK_SECONDS = 0.1
_SHOWN, _SHOWN_CHARACTERS = 3, 200  # of a dead part's last lines within the one that tells of it


class ChildEndedError(StackError):
    """A process ended that should have gone on, or did not become ready; the message holds its last lines."""


class Stack:
    """The processes of one data folder, as a context: entering starts them, leaving ends every one of them.

    `parts` are made from the path of the code server's socket. Entering raises `StackError` or
    `deploy.addresses.AddressError` before anything is started, and `StackError` when a part does not become ready.
    """

    def __init__(
        self,
        home: Home,
        addresses: Addresses,
        parts: Callable[[Path], Sequence[Part]],
        show: bool = True,
        inherited: Mapping[str, str] = os.environ,
        restarts: Restarts | None = None,
    ) -> None:
        self.home = home
        self.addresses = addresses
        self.logs = home.root / "logs"
        self._show = show
        self._restarts = restarts or Restarts()
        # Not below the data folder: socket paths are short (about 100 bytes), and mounted volumes may not hold sockets.
        self._temporary = tempfile.TemporaryDirectory(prefix="vnyatno-", ignore_cleanup_errors=True)
        code_socket = Path(self._temporary.name) / "code"
        self._parts = list(parts(code_socket))
        variables = environment(home, addresses, code_socket, inherited)
        self._running = Running(self._parts, variables, self.logs, show, self._restarts.clock)
        self._lock: FileLock | None = None
        self._log: Logbook | None = None

    def __enter__(self) -> Stack:
        try:
            self._prepare()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise `ChildEndedError` if a process has ended that should run, a task failed, or one does not get ready."""
        for part in self._parts:
            if how := self._running.trouble(part):
                raise self._ended(part, how)

    def watch(self) -> None:
        """Keep all parts going until a signal raises out of here, or a part has died too often (`ChildEndedError`)."""
        while True:
            self.tend()
            time.sleep(_LOOK_SECONDS)

    def tend(self) -> None:
        """Look once: part by part, what died is told and put down for its restart, what is due is started."""
        for part in self._parts:
            if how := self._running.trouble(part):
                self._lose(part, how)
        for part, how in self._running.begin(self._restarts.due):
            self._lose(part, how)
        if found := self._running.newly_ready():
            self._write_state()
        for part in found:
            if self._restarts.deaths(part.name):
                self._say(f"{part.name} is back")

    def stop(self) -> None:
        """End everything within 10 s; further signals are ignored meanwhile. Raises `StackError` if that fails."""
        handlers = _ignore_signals()
        try:
            left = []
            if self._lock is not None:
                # Whether or not a child was noted: a signal may have come between its start and the note.
                left = end(self._running.children, self.home.root, GRACE_SECONDS)
                if self._log is not None:
                    self._log.close()
                state_file(self.home).unlink(missing_ok=True)
                self._lock.release()
                self._lock = None
            self._temporary.cleanup()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if left:
            raise StackError(f"processes {left} could not be ended")

    def _prepare(self) -> None:
        require_writable(self.home)
        self._lock = take(self.home)
        left = end_marked(self.home.root)  # a launcher that was killed outright could not do it
        if left:
            raise StackError(f"processes {left}, left by an earlier launcher, could not be ended")
        require_free(listening(self._parts, self.addresses))
        self.home.dagster.mkdir(parents=True, exist_ok=True)
        write_atomically(self.home.dagster / "dagster.yaml", (ROOT / "dagster.yaml").read_bytes())
        self._write_state()

    def _start(self) -> None:
        self._log = Logbook("launcher", self.logs, self._show)
        while self._running.not_ready():
            for part, how in self._running.begin():
                raise StackError(f"{part.name} {how}")
            self.check()
            self._running.newly_ready()
            time.sleep(_LOOK_SECONDS)
        self._write_state()

    def _lose(self, part: Part, how: str) -> None:
        """Put a dead part down for its restart. Raises `ChildEndedError` if it has died too often."""
        along = [other.name for other in self._parts if part.name in other.ends_with]
        for name in (*along, part.name):  # what is left of it may hold its port, or go on with its work unwatched
            if left := end_marked(self.home.root, name):
                raise StackError(f"{part.name} {how}; processes {left} of {name} could not be ended")
        pause, deaths = self._restarts.died(part.name), self._restarts.deaths(part.name)
        if pause is None:
            within = f"{self._restarts.policy.window / 60:g} minutes"
            raise self._ended(part, f"{how}; it died {deaths} times within {within}, so everything is ended")
        last = self._running.last_lines(part.name)
        # The tasks before it are done again, since they put right what it left.
        tasks = [other.name for other in self._parts if other.task and other.name in part.after]
        self._running.forget([*along, *tasks, part.name])
        self._write_state()
        shown = " | ".join(" ".join(line.split())[:_SHOWN_CHARACTERS] for line in last[-_SHOWN:])
        again = f"it is started again in {pause:g} s" + "".join(f", {name} with it" for name in along)
        self._say(f"{part.name} {how}; {again}; its last lines: {shown}; all: {self.logs / part.name}.log")

    def _ended(self, part: Part, how: str) -> ChildEndedError:
        last = "\n".join(f"  {line}" for line in self._running.last_lines(part.name))
        return ChildEndedError(f"{part.name} {how}; its last lines:\n{last}\nall of it: {self.logs / part.name}.log")

    def _say(self, line: str) -> None:
        if self._log is not None:
            self._log.write(line)

    def _write_state(self) -> None:
        """What deploy/run/health.py reads: where to ask the servers, and which parts are not ready."""
        urls = health_urls(self._parts, self.addresses)
        state = {"pid": os.getpid(), "health": urls, "down": self._running.not_ready()}
        try:
            write_json(state_file(self.home), state)
        except OSError as error:  # a full disk must not end what runs
            self._say(f"{state_file(self.home)} could not be written, so health checks may be wrong: {error}")


def _ignore_signals() -> dict[int, Any]:
    return {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

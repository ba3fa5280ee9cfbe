"""All processes of one data folder: checked before, started in order, watched, and ended together."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from deploy.addresses import Addresses, require_free
from deploy.parts import ROOT, Part, environment, health_urls, listening
from deploy.processes import Child, end, end_marked, start
from speech.files import write_atomically, write_json
from speech.home import Home

GRACE_SECONDS = 6.0  # the service gives its requests 5 s; with the killing after it everything is over within 10 s
_READY_SECONDS = 300.0  # a cold start on a slow or busy machine reads a gigabyte of libraries
_LOOK_SECONDS = 0.1


class StackError(RuntimeError):
    """The processes cannot be started; the message says what stands in the way and what to do."""


class ChildEndedError(StackError):
    """A process ended that should have gone on; the message holds its last lines."""


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
    ) -> None:
        self.home = home
        self.addresses = addresses
        self.logs = home.root / "logs"
        self._show = show
        # Not below the data folder: socket paths are short (about 100 bytes), and mounted volumes may not hold sockets.
        self._temporary = tempfile.TemporaryDirectory(prefix="vnyatno-", ignore_cleanup_errors=True)
        code_socket = Path(self._temporary.name) / "code"
        self._parts = list(parts(code_socket))
        self._environment = environment(home, addresses, code_socket, inherited)
        self._lock: FileLock | None = None
        self._children: dict[str, Child] = {}
        self._ready: set[str] = set()

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
        """Raise `ChildEndedError` if a process has ended that should run, `StackError` if a task failed."""
        for part in self._parts:
            child = self._children.get(part.name)
            code = child.process.poll() if child else None
            if child is None or code is None or (part.task and code == 0):
                continue
            child.log.close()
            ended = "was killed by signal" if code < 0 else "ended with code"
            last = "\n".join(f"  {line}" for line in child.log.tail)
            raise ChildEndedError(
                f"{part.name} {ended} {abs(code)}; its last lines:\n{last}\nall of it: {child.log.path}"
            )

    def watch(self) -> None:
        """Stay until a process ends (`ChildEndedError`) or a signal raises out of here."""
        while True:
            self.check()
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """End everything within 10 s; further signals are ignored meanwhile. Raises `StackError` if that fails."""
        handlers = _ignore_signals()
        try:
            left = []
            if self._lock is not None:
                # Whether or not a child was noted: a signal may have come between its start and the note.
                left = end(list(self._children.values()), self.home.root, GRACE_SECONDS)
                self._children.clear()
                _state_file(self.home).unlink(missing_ok=True)
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
        self._lock = _take(self.home)
        left = end_marked(self.home.root)  # a launcher that was killed outright could not do it
        if left:
            raise StackError(f"processes {left}, left by an earlier launcher, could not be ended")
        urls = health_urls(self._parts, self.addresses)
        require_free(listening(self._parts, self.addresses))
        self.home.dagster.mkdir(parents=True, exist_ok=True)
        write_atomically(self.home.dagster / "dagster.yaml", (ROOT / "dagster.yaml").read_bytes())
        write_json(_state_file(self.home), {"pid": os.getpid(), "health": urls})

    def _start(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while len(self._ready) < len(self._parts):
            for part in self._parts:
                if part.name not in self._children and self._ready.issuperset(part.after):
                    self._children[part.name] = start(
                        part.name, part.command, self._environment, ROOT, self.logs, show=self._show, host=part.host
                    )
            self.check()
            waiting = [part for part in self._parts if part.name not in self._ready]
            self._ready.update(part.name for part in waiting if self._is_ready(part))
            if time.monotonic() > deadline:
                names = ", ".join(part.name for part in waiting)
                raise StackError(f"not ready after {_READY_SECONDS:.0f} s: {names}; see the logs in {self.logs}")
            time.sleep(_LOOK_SECONDS)

    def _is_ready(self, part: Part) -> bool:
        child = self._children.get(part.name)
        if child is None:
            return False
        return child.process.poll() == 0 if part.task else part.ready()


def require_writable(home: Home) -> None:
    """Raise `StackError` unless files can be made in the data folder; makes the folder if need be."""
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home.root):
            pass
    except OSError as error:
        raise StackError(
            f"the data folder {home.root} cannot be written ({error.strerror}); let user {os.getuid()} write there, "
            "or set VNYATNO_HOME to another folder"
        ) from error


def _take(home: Home) -> FileLock:
    lock = FileLock(home.root / "launcher.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise StackError(
            f"Vnyatno runs already on the data folder {home.root}{_owner(home)}; "
            "stop it, or set VNYATNO_HOME to another folder"
        ) from error
    return lock


def _owner(home: Home) -> str:
    try:
        return f" (process {json.loads(_state_file(home).read_text())['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # the lock alone decides; the file is a courtesy


def _state_file(home: Home) -> Path:
    """Read by deploy/health.py: which servers of this data folder should answer."""
    return home.root / "launcher.json"


def _ignore_signals() -> dict[int, Any]:
    return {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

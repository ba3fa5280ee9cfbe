"""A child process that is asked one thing after the other: started when first needed, and anew after it broke off.

The child's half is in `speech.process.served`. `speech.process.fork_server` is for tasks that need a child each.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from speech.process.background import thread
from speech.process.child import START_SECONDS, Child, ChildBroke, ChildNotStarted, killed_after, launch
from speech.process.messages import READY, read, readable, write

_LOOK_SECONDS = 0.005  # between two looks while a child computes

Held = Callable[[], AbstractContextManager[None]]
"""Stops the child for as long as the block runs."""


class Worker:
    """One child at a time. Thread-safe: who asks waits until the others have their answers."""

    def __init__(self, command: Sequence[str], start_seconds: float = START_SECONDS) -> None:
        """`command` runs `speech.process.served.serve`; `start_seconds`: how long it may take to say that it is
        ready."""
        self._command, self._start_seconds = list(command), start_seconds
        self._asking = threading.Lock()
        self._child: _Spawned | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The child's process; None where none runs."""
        child = self._child
        return child.pid if child is not None and child.alive else None

    def ask(
        self,
        message: Mapping[str, Any],
        raw: bytes = b"",
        seconds: float | None = None,
        look: Callable[[Held], None] | None = None,
    ) -> tuple[dict[str, Any], bytes]:
        """The child's answer to a message. `seconds`: how long it may take from when the child is ready, None: any.
        `look` is called every few milliseconds until then.

        Raises `ChildNotStarted`, `ChildBroke` (also when closed), `ChildTimeout`, or OSError where this machine has no
        room for a process; the next question starts another child.
        """
        with self._asking:
            child = self._running()
            try:
                return child.ask(message, raw, seconds, look)
            finally:
                if child.killed:  # perhaps just after it had answered: the next question must not be blamed
                    self._end()

    def kill(self) -> None:
        """End the child for good, from any thread, without waiting: who asks is given `ChildBroke`."""
        self._closed = True
        if (child := self._child) is not None:
            child.kill()

    def close(self) -> None:
        """As `kill`, and wait until the child is gone."""
        self.kill()
        with self._asking:
            self._end()

    def _running(self) -> _Spawned:
        if self._child is not None and not self._child.alive:
            self._end()
        if self._child is None and not self._closed:
            self._child = _Spawned(self._command, self._start_seconds)
        if self._closed or self._child is None:  # perhaps while it started, when nobody could kill it
            self._end()
            raise ChildBroke("closed")
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


class _Spawned(Child):
    """A child that runs a command."""

    def __init__(self, command: Sequence[str], start_seconds: float) -> None:
        # A child that asks to end with its parent ends with the thread that started it, so it has a thread of its own.
        self._left = threading.Event()
        self._forget = weakref.finalize(self, self._left.set)
        started: Future[subprocess.Popen[bytes]] = Future()
        self._keeper = thread("child", _keep, list(command), started, self._left)
        try:
            self._keeper.start()
        except RuntimeError as error:  # what Python says where there are no more threads
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
        self._process = started.result()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.requests, self.answers = self._process.stdin, self._process.stdout
        with killed_after(self, start_seconds):
            ready = self.answers.readline() == READY
        if not ready or self.killed:
            self.close()
            raise ChildNotStarted("a child does not start")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(
        self, message: Mapping[str, Any], raw: bytes, seconds: float | None, look: Callable[[Held], None] | None
    ) -> tuple[dict[str, Any], bytes]:
        with self._within(seconds):
            write(self.requests, message, raw)
            while look is not None and not readable(self.answers, _LOOK_SECONDS):
                look(self._held)
            return read(self.answers)

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.killed = True
        self._process.kill()

    def close(self) -> None:
        self.kill()
        self._process.wait()
        for pipe in (self.requests, self.answers):
            with suppress(BrokenPipeError):  # what the child did not read goes with it
                pipe.close()
        self._forget()
        self._keeper.join()


def _keep(command: Sequence[str], started: Future[subprocess.Popen[bytes]], left: threading.Event) -> None:
    """Start a child, and stay until it is left."""
    try:
        started.set_result(launch(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    except BaseException as error:
        started.set_exception(error)
        return
    del started  # nothing here may keep a child that everybody else forgot
    left.wait()

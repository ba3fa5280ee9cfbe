"""A process that has imported what a task needs, and forks a child for each task, which is alone and begins at once.

A request for a child sends the server three open files, so that no names are needed: the file to work on, a pipe for
the answers, and a pipe whose closing ends the child. Only the child touches the file.

The standard library's `forkserver` cannot be used: each of its children imports the parent's `__main__` anew (in the
service BentoML's), and there is one server a process, which nothing public ends.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import FileIO
from typing import IO, Any

from speech.process.child import Child, launch
from speech.process.messages import readable, write

_MOST_BYTES = 1 << 16  # of a request
_END_SECONDS = 5.0  # that leaving waits for a child's end


class ForkedChild(Child):
    """A child of a `ForkServer`, which works on the one task that it was forked for."""

    def __init__(self, server: ForkServer, process: subprocess.Popen[bytes], answers: int, lifeline: int) -> None:
        """`process` is the server's."""
        self._server = server
        self._process = process
        self.answers = os.fdopen(answers, "rb")
        self._lifeline: int | None = lifeline
        self._lock = threading.Lock()

    @property
    def deserted(self) -> bool:
        """Whether the server has ended, and the child with it: that is no fault of the task."""
        return self._process.poll() is not None

    def kill(self) -> None:
        with self._lock:
            self.killed = True
            if self._lifeline is not None:
                os.close(self._lifeline)
            self._lifeline = None

    def close(self) -> None:
        self.kill()
        descriptor = self.answers.fileno()
        while readable(descriptor, _END_SECONDS) and os.read(descriptor, _MOST_BYTES):
            pass
        self.answers.close()
        self._server._left()


class ForkServer:
    """Started when first needed, and anew when it has died. Thread-safe."""

    def __init__(self, command: Sequence[str]) -> None:
        """`command` runs `serve`."""
        self._command = list(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._children = 0

    @property
    def pid(self) -> int | None:
        """The server's process; None where it does not run."""
        return self._process.pid if self._process else None

    def fork(self, file: IO[bytes], request: dict[str, Any]) -> ForkedChild:
        """A child that works on an open file. Raises OSError where there are no more processes or handles."""
        with self._lock:
            answers, theirs = os.pipe()
            watched, lifeline = os.pipe()
            try:
                self._send(json.dumps(request).encode(), [file.fileno(), theirs, watched])
            except BaseException:
                os.close(answers)
                os.close(lifeline)
                raise
            finally:
                os.close(theirs)
                os.close(watched)
            self._children += 1
            assert self._process is not None
            return ForkedChild(self, self._process, answers, lifeline)

    def rest(self) -> None:
        """End the server if it has no children: the next that is asked for starts it again."""
        with self._lock:
            if not self._children:
                self._end()

    def close(self) -> None:
        """End the server and all its children."""
        with self._lock:
            self._end()

    def _left(self) -> None:
        with self._lock:
            self._children -= 1

    def _send(self, request: bytes, files: list[int]) -> None:
        if self._requests is not None:
            with suppress(BrokenPipeError, ConnectionError):  # it died
                socket.send_fds(self._requests, [request], files)
                return
            self._end()
        self._start()
        assert self._requests is not None
        socket.send_fds(self._requests, [request], files)

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = launch(self._command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
            except BaseException:
                ours.close()
                raise
        self._requests = ours

    def _end(self) -> None:
        if self._requests is not None:
            self._requests.close()
        if self._process is not None:
            self._process.kill()  # its children end with it
            self._process.wait()
        self._process = self._requests = None


def serve(work: Callable[[FileIO, IO[bytes], dict[str, Any]], None]) -> None:
    """The server's loop: fork a child for each request on standard input, until that ends.

    In the child `work` is called with the file to read, where its messages go (`speech.process.messages`), and the
    request. Where no child can be made, the only message has the `kind` "no_child" and an `errno`.
    """
    requests = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())  # children would hold it open
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    children: dict[int, int] = {}  # the pipe whose closing ends a child, and the child
    try:
        while True:
            for ready, _ in poll.poll():
                if ready != requests.fileno():
                    poll.unregister(ready)
                    _end(ready, children.pop(ready))
                    continue
                request, files, _, _ = socket.recv_fds(requests, _MOST_BYTES, 3)
                if not request:
                    return
                file, answers, lifeline = files
                if (child := _forked(answers)) == 0:
                    requests.close()
                    _work(work, file, answers, json.loads(request))
                os.close(file)
                os.close(answers)
                if child is None:
                    os.close(lifeline)
                    continue
                children[lifeline] = child
                poll.register(lifeline, 0)  # its end is told all the same
    finally:
        for lifeline, child in children.items():
            _end(lifeline, child)


def _forked(answers: int) -> int | None:
    """As `os.fork`; None where there can be no child, which is answered."""
    try:
        return os.fork()
    except OSError as error:
        with suppress(OSError), os.fdopen(os.dup(answers), "wb") as out:
            write(out, {"kind": "no_child", "errno": error.errno or errno.EAGAIN})
        return None


def _work(
    work: Callable[[FileIO, IO[bytes], dict[str, Any]], None], file: int, answers: int, request: dict[str, Any]
) -> None:
    """In the child, which ends here whatever happens."""
    code = 1
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # what libraries say of files is nobody's business
    try:
        with os.fdopen(answers, "wb") as out:
            work(FileIO(file), out, request)
        code = 0
    finally:
        os._exit(code)


def _end(lifeline: int, child: int) -> None:
    os.close(lifeline)
    os.kill(child, signal.SIGKILL)  # it cannot be another's number: nobody else waits for it
    os.waitpid(child, 0)

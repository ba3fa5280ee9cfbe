"""Clients that ask a service one recording after another, and what they saw."""

from __future__ import annotations

import gc
import http.client
import json
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_BOUNDARY = "vnyatno-bench"
_PATIENCE = 300.0  # seconds that a client waits for an answer
_REFUSED_PAUSE = 0.1  # seconds until a client asks again where nothing listened


@dataclass(frozen=True)
class Reply:
    """One answer: which recording, HTTP status (0: none came), moments in seconds, and the body as JSON or None.

    `refused`: nothing listened, so nothing was sent.
    """

    clip: int
    status: int
    began: float
    ended: float
    body: Any = None
    refused: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Load:
    """All answers to `clients` over `seconds`."""

    clients: int
    seconds: float
    replies: list[Reply] = field(default_factory=list)

    @property
    def answered(self) -> list[Reply]:
        """The answers with status 200."""
        return [reply for reply in self.replies if reply.status == 200]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.answered) / self.seconds

    def percentile(self, share: float) -> float:
        """Seconds within which `share` (0 to 100) of the answers came."""
        return float(np.percentile([reply.seconds for reply in self.answered], share))


def form(recording: bytes, name: str = "clip.mp3") -> bytes:
    """A recording as the body of a form, as a browser sends it."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    return f"{head}Content-Type: audio/mpeg\r\n\r\n".encode() + recording + f"\r\n--{_BOUNDARY}--\r\n".encode()


def ask(connection: http.client.HTTPConnection, path: str, clip: int, body: bytes) -> Reply:
    """One request; what went wrong on the wire is an answer of status 0, after which the connection is new."""
    began = time.monotonic()
    # As clients do that keep connections: one that was closed meanwhile is not asked.
    if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
        connection.close()
    try:
        connection.request("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"})
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Reply(clip, 0, began, time.monotonic(), refused=isinstance(error, ConnectionRefusedError))
    return Reply(clip, response.status, began, time.monotonic(), json.loads(text) if text[:1] == b"{" else None)


@contextmanager
def clients(
    port: int, path: str, bodies: Sequence[bytes], count: int, per_connection: int | None = None
) -> Iterator[list[Reply]]:
    """`count` clients that ask without a pause until the block is left; the replies so far, which grow.

    `per_connection`: requests after which a client connects anew, so that a worker that came later gets its share.
    """
    replies: list[Reply] = []
    end = threading.Event()

    def work(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        clip, asked = first, 0
        while not end.is_set():
            clip = (clip + count) % len(bodies)
            replies.append(ask(connection, path, clip, bodies[clip]))
            asked += 1
            if per_connection and asked % per_connection == 0:
                connection.close()
            if replies[-1].refused:
                time.sleep(_REFUSED_PAUSE)
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    gc.disable()  # with torch imported, a collection holds all clients up for half a second
    for thread in threads:
        thread.start()
    try:
        yield replies
    finally:
        end.set()
        for thread in threads:
            thread.join()
        gc.enable()


def press(port: int, path: str, bodies: Sequence[bytes], count: int, seconds: float) -> Load:
    """`count` clients for so many seconds; what came in that time counts, what was under way then does not."""
    with clients(port, path, bodies, count) as replies:
        began = time.monotonic()
        time.sleep(seconds)
        done = list(replies)
    return Load(count, seconds, [reply for reply in done if reply.ended <= began + seconds])


def wait_until(condition: Callable[[], bool], what: str, patience: float = 180.0, every: float = 0.05) -> float:
    """Seconds until `condition`, looked at `every` so many seconds, holds. Raises TimeoutError naming `what`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            raise TimeoutError(f"{what} did not come about within {patience:.0f} s")
        time.sleep(every)
    return time.monotonic() - began


def answers(port: int, path: str) -> bool:
    """Whether `path` is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

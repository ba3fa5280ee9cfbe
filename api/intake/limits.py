"""What a request may cost before anybody looks at it: bytes, seconds to send them, and how many come at once.

These are ASGI middlewares: only there the body can be counted while it arrives. A declared length proves nothing, and a
chunked body declares none.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.intake.problems import CLIENT_GONE, Problem, answer

# A client that still sends does not read; what it sends is thrown away for so long, so that it gets its answer.
DISCARD_SECONDS = 5.0
# Where all places are taken, an upload slower than this gives its place up: 30 s of mp3 at 32 kbit/s take as long to
# send as to speak. Its first seconds do not count, in which nothing but the network's own delay may be seen.
SLOW_BYTES_PER_SECOND = 4_000
SLOW_AFTER_SECONDS = 2.0


class BodyLimit:
    """Counts a request's body and answers 413 or 408 when it is too large or takes too long."""

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        seconds: float,
        others: Mapping[str, tuple[int, float]] | None = None,
    ) -> None:
        """`seconds`: for the whole body to arrive. `others`: bytes and seconds of paths that have limits of their
        own."""
        self._app = app
        self._usual = max_bytes, seconds
        self._others = others or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        max_bytes, seconds = self._others.get(scope["path"], self._usual)
        if _declared(headers.get(b"content-length")) > max_bytes:
            if b"expect" not in headers:  # who asks first has sent nothing yet
                await discard(receive)
            await answer(_too_large(max_bytes))(scope, receive, send)
            return
        await self._app(scope, self._counted(receive, max_bytes, seconds), send)

    def _counted(self, receive: Receive, max_bytes: int, seconds: float) -> Receive:
        deadline = asyncio.get_running_loop().time() + seconds
        count, complete = 0, False

        async def counted() -> Message:
            nonlocal count, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                detail = f"the recording did not arrive within {seconds:g} s"
                raise Problem(408, "upload_timeout", detail) from None
            if message["type"] == "http.disconnect":
                raise Problem(CLIENT_GONE, "client_gone", "the client broke off its upload")
            count += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if count > max_bytes:
                if not complete:
                    await discard(receive)
                raise _too_large(max_bytes)
            return message

        return counted


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, "too_large", f"more than {max_bytes / 1e6:.1f} MB were sent; send less")


@dataclass(eq=False)
class _Admitted:
    """A request that was let in; moments in seconds of the event loop's clock."""

    began: float
    count: int = 0
    complete: bool = False
    given_up: bool = False
    waiting: asyncio.Timeout | None = None

    def counted(self, receive: Receive) -> Receive:
        """`receive`, until the request is given up. Raises `Problem` 408 then."""

        async def counted() -> Message:
            if self.complete:
                return await receive()
            try:
                async with asyncio.timeout(0 if self.given_up else None) as self.waiting:
                    message = await receive()
            except TimeoutError:
                detail = "the recording came too slowly, and others wait; send it again over a faster connection"
                raise Problem(408, "upload_too_slow", detail) from None
            finally:
                self.waiting = None
            self.count += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
            return message

        return counted

    def rate(self, now: float) -> float:
        """Bytes a second so far. Infinite where it is too early to say, or where nothing more is to come."""
        if self.complete or now - self.began < SLOW_AFTER_SECONDS:
            return math.inf
        return self.count / (now - self.began)

    def give_up(self) -> None:
        """End the upload."""
        self.given_up = True
        if self.waiting is not None:
            self.waiting.reschedule(0)


class Admission:
    """Lets at most `most` POST requests to `paths` in at once, all paths counted together.

    More are answered 503 before their body is read. Where a place is held by an upload that hardly moves, the slowest
    one gives it to the newcomer: otherwise a few dozen clients that send a byte a second would keep everybody out.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str], most: int) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._most = most
        self._inside: set[_Admitted] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._paths or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        now = asyncio.get_running_loop().time()
        if len(self._inside) >= self._most and not self._give_slowest_up(now):
            await discard(receive)
            problem = Problem(
                503, "too_many_in_progress", "too many requests are in progress; try again soon", {"Retry-After": "2"}
            )
            await answer(problem)(scope, receive, send)
            return
        admitted = _Admitted(now)
        self._inside.add(admitted)
        try:
            await self._app(scope, admitted.counted(receive), send)
        finally:
            self._inside.discard(admitted)

    def _give_slowest_up(self, now: float) -> bool:
        """Free a place, if one is held too slowly."""
        slowest = min(self._inside, key=lambda one: one.rate(now))
        if slowest.rate(now) >= SLOW_BYTES_PER_SECOND:
            return False
        self._inside.discard(slowest)
        slowest.give_up()
        return True


def _declared(length: bytes | None) -> int:
    try:
        return int(length or 0)
    except ValueError:
        return 0  # the server has refused what is no number; the count decides in any case


async def discard(receive: Receive) -> None:
    """Take the rest of a body and keep none of it, for `DISCARD_SECONDS` at most."""
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return

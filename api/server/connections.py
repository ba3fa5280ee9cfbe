"""Connections that are given up when a request does not arrive. The server itself would wait for ever.

The head of a request may take `head_seconds` from its first byte, on a new connection from the beginning. The body may
take what `api.intake.limits.BodyLimit` gives it, and a little more for what is sent after the answer. A client that
sends a byte a second holds a connection for so long and no longer.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial

import h11
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from api.intake.limits import DISCARD_SECONDS
from api.intake.problems import MEDIA_TYPE, Problem, document, title
from api.settings import ServiceSettings

_BATCHES = "/api/batches"


class Connection(H11Protocol):
    """The connection of one client. `bound` sets for all of them how long they may take."""

    _head_seconds = 10.0
    _body_seconds = 30.0
    _batch_seconds = 3600.0  # of bodies to `_BATCHES`
    _timer: asyncio.TimerHandle | None = None
    _arriving: tuple[str, object] | None = None  # the part of a request that is waited for, and of which request

    @classmethod
    def bound(cls, settings: ServiceSettings) -> None:
        """Set the limits, for every connection made from now on."""
        cls._head_seconds = settings.head_seconds
        cls._body_seconds = settings.upload_seconds + DISCARD_SECONDS + 1.0
        cls._batch_seconds = settings.batch_upload_seconds + DISCARD_SECONDS + 1.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for(("head", None))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_for(None)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self.cycle is not None and not self.cycle.response_started:
            # Said in the answer, or the client would send its next request into a connection that closes.
            self.scope["headers"] = [*self.scope["headers"], CLOSE_HEADER]
            # For what the end cuts off: the server's own answer would blame the service.
            self.cycle.send_500_response = partial(_cut_off, self.cycle)  # type: ignore[method-assign]
        super().shutdown()

    def _look(self) -> None:
        """See which part of a request is under way. Between requests the server has a limit of its own."""
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._wait_for(("body", self.cycle))
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait_for(("head", self.cycle))
        else:
            self._wait_for(None)

    def _wait_for(self, part: tuple[str, object] | None) -> None:
        """Start the clock for a part of a request; None stops it. The same part again changes nothing."""
        if part == self._arriving:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._arriving, self._timer = part, None
        if part is not None:
            body = self._batch_seconds if self.scope and self.scope["path"] == _BATCHES else self._body_seconds
            seconds = self._head_seconds if part[0] == "head" else body
            self._timer = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        """Close a connection on which a request did not arrive in time."""
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._say_why()
            self.transport.close()
        else:  # nothing was asked, or what was asked is answered
            self.transport.abort()

    def _say_why(self) -> None:
        """Answer 408 to a head that did not arrive."""
        detail = f"the request's headers did not arrive within {self._head_seconds:g} s"
        headers, body = _written(Problem(408, "request_timeout", detail))
        response = h11.Response(status_code=408, headers=headers, reason=title(408).encode())
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))


async def _cut_off(cycle: RequestResponseCycle) -> None:
    """Answer 503 to a request that the end of the service cuts off."""
    headers, body = _written(Problem(503, "stopping", "the service was stopped or restarted; try again soon"))
    await cycle.send({"type": "http.response.start", "status": 503, "headers": [*headers, (b"retry-after", b"10")]})
    await cycle.send({"type": "http.response.body", "body": body, "more_body": False})


def _written(problem: Problem) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of an answer after which the connection closes."""
    body = json.dumps(document(problem)).encode()
    length = str(len(body)).encode()
    return [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", length), (b"connection", b"close")], body

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

import pytest
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.intake import limits, problems
from api.intake.limits import Admission, BodyLimit

CHUNK = b"x" * 1000


def counting_app() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.post("/count")
    async def _count(request: Request) -> int:
        return len(await request.body())

    return app


class Client:
    """One request as the server hands it over: a scope, chunks that come one by one, and what is answered."""

    def __init__(self, chunks: Iterable[bytes], headers: dict[str, str] | None = None, pause: float = 0.0) -> None:
        self.scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/count",
            "raw_path": b"/count",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(key.encode(), value.encode()) for key, value in (headers or {}).items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self.taken = 0
        self.sent: list[Message] = []
        self._pause = pause
        self._messages = self._body(chunks)

    async def _body(self, chunks: Iterable[bytes]) -> AsyncIterator[Message]:
        for chunk in chunks:
            await asyncio.sleep(self._pause)
            self.taken += len(chunk)
            yield {"type": "http.request", "body": chunk, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}
        yield {"type": "http.disconnect"}

    async def receive(self) -> Message:
        return await anext(self._messages)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def ask(self, app: ASGIApp) -> tuple[int, dict[str, object] | int]:
        await app(self.scope, self.receive, self.send)
        body = b"".join(message.get("body", b"") for message in self.sent)
        return self.sent[0]["status"], json.loads(body)


def ask(client: Client, max_bytes: int = 5000, seconds: float = 5.0) -> tuple[int, dict[str, object] | int]:
    return asyncio.run(client.ask(BodyLimit(counting_app(), max_bytes, seconds)))


def test_a_body_within_the_limit_passes_whole() -> None:
    assert ask(Client([CHUNK] * 5)) == (200, 5000)


def test_a_chunked_body_is_refused_as_soon_as_it_exceeds_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DISCARD_SECONDS", 0.0)
    client = Client([CHUNK] * 1000, pause=0.001)
    status, problem = ask(client)
    assert status == 413
    assert isinstance(problem, dict)
    assert problem["code"] == "too_large"
    assert client.taken <= 7000


def test_the_rest_of_a_body_too_large_is_taken_so_that_the_client_reads_its_answer() -> None:
    client = Client([CHUNK] * 100)
    assert ask(client)[0] == 413
    assert client.taken == 100_000


def test_a_declared_length_is_refused_without_waiting_where_the_client_asks_first() -> None:
    client = Client([CHUNK] * 100, {"content-length": "100000", "expect": "100-continue"})
    assert ask(client)[0] == 413
    assert client.taken == 0


def test_a_declared_length_that_lies_is_counted_all_the_same() -> None:
    assert ask(Client([CHUNK] * 100, {"content-length": "10"}))[0] == 413


def test_a_body_that_trickles_is_given_up() -> None:
    status, problem = ask(Client([b"x"] * 100, pause=0.05), seconds=0.2)
    assert status == 408
    assert isinstance(problem, dict)
    assert problem["code"] == "upload_timeout"


def test_a_client_that_goes_away_while_sending_is_no_failure() -> None:
    class Gone(Client):
        async def _body(self, chunks: Iterable[bytes]) -> AsyncIterator[Message]:
            yield {"type": "http.request", "body": b"x", "more_body": True}
            yield {"type": "http.disconnect"}

    assert ask(Gone([]))[0] == problems.CLIENT_GONE


def test_more_requests_than_are_admitted_get_503_and_the_others_their_answer() -> None:
    async def scenario() -> list[int]:
        go_on = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            await counting_app()(scope, receive, send)

        app = Admission(slow, ["/count"], most=2)
        clients = [Client([b"x"]) for _ in range(4)]
        asked = [asyncio.create_task(client.ask(app)) for client in clients]
        while sum(task.done() for task in asked) < 2:
            await asyncio.sleep(0.01)
        go_on.set()
        answers = [await task for task in asked]
        refused = next(client for client in clients if client.sent[0]["status"] == 503)
        assert (b"retry-after", b"2") in refused.sent[0]["headers"]
        assert json.loads(refused.sent[1]["body"])["code"] == "too_many_in_progress"
        assert (await Client([b"x"]).ask(app))[0] == 200  # places are given back
        return [status for status, _ in answers]

    assert sorted(asyncio.run(scenario())) == [200, 200, 503, 503]

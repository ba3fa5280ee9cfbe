"""How long a request may take to arrive, on the server that the workers run, with limits short enough for a test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import uvicorn
from fastapi import FastAPI, Request

from api.intake import problems
from api.intake.limits import BodyLimit
from api.server.connections import Connection

HEAD = b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
PATIENCE = 30.0  # seconds

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Short(Connection):
    _head_seconds = 0.3
    _body_seconds = 0.6


class Sleeper:
    """Holds an answer back."""

    def __init__(self) -> None:
        self.came, self.go_on = asyncio.Event(), asyncio.Event()


def application(sleeper: Sleeper, upload_seconds: float) -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.post("/count")
    async def _count(request: Request) -> int:
        return len(await request.body())

    @app.get("/sleep")
    async def _sleep() -> str:
        sleeper.came.set()
        await sleeper.go_on.wait()
        return "slept"

    app.add_middleware(BodyLimit, max_bytes=5000, seconds=upload_seconds)
    return app


@asynccontextmanager
async def serving(upload_seconds: float) -> AsyncIterator[tuple[uvicorn.Server, int, Sleeper]]:
    sleeper = Sleeper()
    app = application(sleeper, upload_seconds)
    config = uvicorn.Config(app, port=0, http=Short, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1], sleeper
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, PATIENCE)


async def asked_to_sleep(port: int, sleeper: Sleeper) -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
    await sleeper.came.wait()
    return reader, writer


def on(scenario: Callable[[Streams], Awaitable[None]], upload_seconds: float = 60.0) -> None:
    """Run a scenario on one connection."""

    async def run() -> None:
        async with serving(upload_seconds) as (_, port, _), asyncio.timeout(PATIENCE):
            streams = await asyncio.open_connection("127.0.0.1", port)
            await scenario(streams)
            streams[1].close()

    asyncio.run(run())


async def answered(reader: asyncio.StreamReader) -> tuple[int, bytes, dict[str, object]]:
    """Status, head and body of an answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    body = await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split()[1]), head.lower(), json.loads(body)


async def trickling(streams: Streams, byte: bytes = b"a") -> tuple[int, bytes, dict[str, object]]:
    """The answer to a client that sends a byte at a time until it has one."""
    answer = asyncio.create_task(answered(streams[0]))
    while not answer.done():
        streams[1].write(byte)
        await asyncio.sleep(0.02)
    return await answer


async def hung_up(streams: Streams) -> None:
    """Send a byte at a time until the other side closes."""
    gone = asyncio.create_task(streams[0].read())
    while not gone.done():
        streams[1].write(b"a")
        await asyncio.sleep(0.02)
    with suppress(ConnectionError):  # a byte was on its way when the other side closed
        assert await gone == b""


def test_headers_that_trickle_get_408_and_the_connection_ends() -> None:
    async def scenario(streams: Streams) -> None:
        streams[1].write(b"GET /sleep HTTP/1.1\r\nX: ")
        status, head, problem = await trickling(streams)
        assert (status, problem["code"]) == (408, "request_timeout")
        assert b"application/problem+json" in head
        assert b"connection: close" in head

    on(scenario)


def test_a_client_that_says_nothing_is_hung_up_on() -> None:
    async def scenario(streams: Streams) -> None:
        assert await streams[0].read() == b""

    on(scenario)


def test_the_second_request_of_a_connection_has_the_same_limit() -> None:
    async def scenario(streams: Streams) -> None:
        streams[1].write(HEAD + bytes(1000))
        assert (await answered(streams[0]))[0] == 200
        status, _, problem = await trickling(streams, b"G")
        assert (status, problem["code"]) == (408, "request_timeout")

    on(scenario)


def test_a_body_that_trickles_gets_408_and_the_connection_ends() -> None:
    async def scenario(streams: Streams) -> None:
        streams[1].write(HEAD)
        status, _, problem = await trickling(streams)
        assert (status, problem["code"]) == (408, "upload_timeout")
        await hung_up(streams)

    on(scenario, upload_seconds=0.3)


def test_what_is_sent_after_an_answer_does_not_keep_the_connection() -> None:
    async def scenario(streams: Streams) -> None:
        streams[1].write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n")
        assert (await answered(streams[0]))[0] == 404
        await hung_up(streams)

    on(scenario)


def test_an_answer_may_take_longer_than_a_request() -> None:
    async def run() -> None:
        async with serving(60.0) as (_, port, sleeper), asyncio.timeout(PATIENCE):
            reader, writer = await asked_to_sleep(port, sleeper)
            await asyncio.sleep(1.0)  # longer than either limit
            sleeper.go_on.set()
            assert (await answered(reader))[0] == 200
            writer.close()

    asyncio.run(run())


def test_an_answer_given_while_the_server_ends_says_that_the_connection_closes() -> None:
    async def run() -> None:
        async with serving(60.0) as (server, port, sleeper), asyncio.timeout(PATIENCE):
            reader, writer = await asked_to_sleep(port, sleeper)
            server.should_exit = True
            while server.servers[0].is_serving():
                await asyncio.sleep(0.01)
            sleeper.go_on.set()
            status, head, _ = await answered(reader)
            assert status == 200
            assert b"connection: close" in head
            writer.close()

    asyncio.run(run())


def test_an_answer_that_the_end_cuts_off_is_503() -> None:
    async def run() -> None:
        async with serving(60.0) as (server, port, sleeper), asyncio.timeout(PATIENCE):
            reader, writer = await asked_to_sleep(port, sleeper)
            server.should_exit = True
            status, head, problem = await answered(reader)
            assert (status, problem["code"]) == (503, "stopping")
            assert b"connection: close" in head
            assert b"retry-after: " in head
            writer.close()

    asyncio.run(run())

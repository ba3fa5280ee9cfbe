from __future__ import annotations

import asyncio
import io
import json
import logging
from contextvars import copy_context
from typing import Any

import pytest

from api.observe import logs, requests
from api.observe.logs import JsonFormatter, TextFormatter
from api.threads import Threads


@pytest.fixture
def written() -> tuple[logging.Logger, io.StringIO, logging.Handler]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.Logger("vnyatno.test")
    logger.addHandler(handler)
    return logger, stream, handler


def within(request: str, call: Any) -> None:
    """Call as while the request is answered."""

    def run() -> None:
        requests._CURRENT.set(requests.RequestRecord(request))
        call()

    copy_context().run(run)


def test_json_is_one_object_a_line(written: tuple[logging.Logger, io.StringIO, logging.Handler]) -> None:
    logger, stream, handler = written
    handler.setFormatter(JsonFormatter())
    logger.info("two\nlines, %s", "ж", extra={"fields": {"status": 200, "bundle": None, "level": "shadow"}})
    try:
        raise ValueError("broken")
    except ValueError:
        within("req-1", lambda: logger.exception("failed"))
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"] == "two\nlines, ж"
    assert (first["status"], first["bundle"], first["level"], first["logger"]) == (200, None, "INFO", "vnyatno.test")
    assert "request_id" not in first
    assert first["time"].endswith("+00:00")
    assert second["request_id"] == "req-1"
    assert "ValueError: broken" in second["exception"]


def test_text_is_one_line_a_message_however_it_tries(
    written: tuple[logging.Logger, io.StringIO, logging.Handler],
) -> None:
    logger, stream, handler = written
    handler.setFormatter(TextFormatter())
    within("req-2", lambda: logger.info("a\r\nforged line", extra={"fields": {"status": 200, "bundle": None}}))
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(r"[INFO] vnyatno.test: a\r\nforged line status=200 request_id=req-2")


def test_every_handler_gets_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    logger, handler = logging.getLogger("vnyatno.test.configured"), logging.StreamHandler(io.StringIO())
    before = [(each, each.formatter) for each in logging.getLogger().handlers]
    logger.addHandler(handler)
    try:
        logs.configure("json")
        assert isinstance(handler.formatter, JsonFormatter)
        logs.configure("text")
        assert isinstance(handler.formatter, TextFormatter)
    finally:
        logger.removeHandler(handler)
        logging.captureWarnings(False)
        for each, formatter in before:
            each.setFormatter(formatter)


def test_work_beside_the_event_loop_knows_its_request() -> None:
    threads = Threads(1, "test")

    async def ask(request: str) -> str | None:
        requests._CURRENT.set(requests.RequestRecord(request))
        return await threads.run(requests.current_id)

    async def both() -> list[str | None]:
        return await asyncio.gather(ask("one"), ask("two"))

    try:
        assert asyncio.run(both()) == ["one", "two"]
    finally:
        threads.close()

"""A transcript as server-sent events, as OpenAI's clients read them: pieces of text while windows are heard, then all.

    data: {"type": "transcript.text.delta", "delta": "the patient"}

    data: {"type": "transcript.text.done", "text": "the patient sleeps"}

What fails before the first piece is answered as without a stream. Later it is the last event: {"error": {...}}.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi.responses import StreamingResponse

from api.intake.problems import Problem, failed, openai_error

if TYPE_CHECKING:
    from api.worker.recognition import RecognitionResult

MEDIA_TYPE = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies are to pass each event on at once

Transcribe = Callable[[Callable[[list[str]], None]], Coroutine[Any, Any, "RecognitionResult"]]


async def event_stream(transcribe: Transcribe) -> StreamingResponse:
    """The answer, begun as soon as there are words. `transcribe` is given what it is to tell words to.

    Raises what `transcribe` raises before it tells any.
    """
    told: asyncio.Queue[list[str] | None] = asyncio.Queue()
    work = asyncio.create_task(transcribe(told.put_nowait))
    work.add_done_callback(lambda _: told.put_nowait(None))
    try:
        words = await told.get()
        if words is None:
            work.result()
    except BaseException:
        work.cancel()
        raise
    return StreamingResponse(_events(words, told, work), media_type=MEDIA_TYPE, headers=_HEADERS)


async def _events(
    words: list[str] | None, told: asyncio.Queue[list[str] | None], work: asyncio.Task[RecognitionResult]
) -> AsyncIterator[str]:
    said = ""
    try:
        while words is not None:
            delta = (" " if said else "") + " ".join(words)
            said += delta
            yield _delta(delta)
            words = await told.get()
        try:
            text = work.result().transcript.text
        except Problem as problem:
            yield _event(openai_error(problem))
        except Exception as error:  # of any kind: the answer has begun, so that its status says nothing any more
            yield _event(openai_error(failed("/v1/audio/transcriptions", error)))
        else:
            if rest := text[len(said) :]:
                yield _delta(rest)
            yield _event({"type": "transcript.text.done", "text": text})
    finally:
        work.cancel()  # where the client has gone


def _delta(text: str) -> str:
    return _event({"type": "transcript.text.delta", "delta": text})


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"

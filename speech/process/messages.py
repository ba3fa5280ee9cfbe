"""What processes say to each other: messages, each a line of JSON and as many raw bytes as its field `bytes` says."""

from __future__ import annotations

import json
import select
from collections.abc import Mapping
from typing import IO, Any

READY = b"ready\n"  # a child's first line, before any message


def write(stream: IO[bytes], message: Mapping[str, Any], raw: bytes = b"") -> None:
    """Send a message. `bytes` is added to its fields. Raises BrokenPipeError where nobody reads any more."""
    stream.write(json.dumps({**message, "bytes": len(raw)}).encode() + b"\n")
    stream.write(raw)
    stream.flush()


def readable(source: IO[Any] | int, seconds: float) -> bool:
    """Whether there is something to read, or the end, within so many seconds."""
    poll = select.poll()  # select knows no descriptor above 1023
    poll.register(source, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def read(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """The next message without `bytes`, and its raw bytes. Waits for it.

    Raises EOFError where the stream ends before or within it, ValueError where it is none.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    message: dict[str, Any] = json.loads(line)
    count = message.pop("bytes")
    raw = stream.read(count)
    if len(raw) != count:
        raise EOFError
    return message, raw

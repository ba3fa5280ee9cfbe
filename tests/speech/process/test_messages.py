"""Messages between processes: what is written is read, and what breaks off is no message."""

from __future__ import annotations

import io

import pytest

from speech.process.messages import read, write


def test_messages_follow_each_other_with_their_bytes() -> None:
    stream = io.BytesIO()
    write(stream, {"language": "ру"}, b"\n{\x00")
    write(stream, {})
    stream.seek(0)
    assert read(stream) == ({"language": "ру"}, b"\n{\x00")
    assert read(stream) == ({}, b"")
    with pytest.raises(EOFError):
        read(stream)


@pytest.mark.parametrize("broken", [b'{"bytes": 3}\nab', b'{"bytes": 0}'])
def test_a_message_that_breaks_off_is_none(broken: bytes) -> None:
    with pytest.raises(EOFError):
        read(io.BytesIO(broken))


def test_what_is_no_message_is_said() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        read(io.BytesIO(b"a warning\n"))

"""What a decoder of FFmpeg's says in its log alone, though it gives sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Decoders that give what they made of a damaged packet, and say of a whole one nothing. Others complain of whole files.
TELLING = ("alac", "wavpack")


def with_complaints(call: Callable[[], T]) -> tuple[T, bool]:
    """The value of `call()`, and whether FFmpeg logged an error in this process meanwhile."""
    import av.logging

    before = av.logging.get_last_error()[0]
    av.logging.set_level(av.logging.ERROR)  # else nothing is counted
    try:
        with av.logging.Capture():  # else it is logged here, too
            value = call()
    finally:
        av.logging.set_level(None)
    return value, av.logging.get_last_error()[0] > before

"""Sizes of the sound that headers lack, because whoever wrote them never came back: those that the decoders believe.

A zero in a wav or aiff is no hindrance to them; in an RF64 or AU it means no sound.
"""

from __future__ import annotations

from speech.audio.file_heads import Bytes

_UNKNOWN = 0xFFFFFFFF  # of an AU: to the end of the file
_CHUNKS, _SOUND_SIZE = 12, 28  # where an RF64's chunks begin, and where the first of them says how long the sound is


def missing_sizes(data: Bytes, start: int, end: int) -> dict[int, bytes]:
    """What is to stand for a size of zero in the header of the file from `start` to `end`, by place in `data`."""
    head = data.at(start, 4)
    if head == b".snd" and not data.number(start + 8, 4):
        return {start + 8: _UNKNOWN.to_bytes(4, "big")}
    if head != b"RF64" or data.at(start + _CHUNKS, 4) != b"ds64" or data.number(start + _SOUND_SIZE, 8):
        return {}
    place = start + _CHUNKS
    while place + 8 <= end:
        if data.at(place, 4) == b"data":
            return {start + _SOUND_SIZE: (end - place - 8).to_bytes(8, "little")}
        length = data.number(place + 4, 4, "little")
        place += 8 + length + length % 2
    return {}

"""Whether the parts of a container lie one after the other as they say, for containers whose damage FFmpeg steps over.

FFmpeg looks for the next part that it understands, and says nothing of what lies between. Matroska and WebM are made of
elements, an AVI of chunks; each says its name and length. What a part holds is the decoder's business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import IO

from speech.audio.file_heads import Bytes

_SEGMENT, _INFO, _CLUSTER, _TRACKS, _SCALE = 0x18538067, 0x1549A966, 0x1F43B675, 0x1654AE6B, 0x2AD7B1
_IN_SEGMENT = {
    0x114D9B74, _INFO, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, 0x1B538667, 0xEC, 0xBF,
}  # fmt: skip
_TIME, _SIMPLE_BLOCK, _GROUP, _BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
_IN_CLUSTER = {_TIME, _SIMPLE_BLOCK, _GROUP, 0xAB, 0xA7, 0x5854, 0xAF, 0xEC, 0xBF}
_ENTRY, _TRACK_NUMBER, _TRACK_TYPE, _CODEC = 0xAE, 0xD7, 0x83, 0x86
_OPEN = math.inf  # the end of a cluster that does not say how long it is
_UNKNOWN = (0, 0xFFFFFFFF)  # sizes of an AVI that was written to a pipe
_SEARCHED = 1 << 16  # bytes at once
_SOUND = 2  # of the types of tracks
_LACED = 0x06  # a block's flags: it holds several packets
_LATE = 3  # milliseconds: times are rounded to whole ones
_CHUNK = re.compile(rb"[0-9A-Fa-f]{2}(?:wb|dc|db|pc|tx|sb|iv)|JUNK|JUNQ|LIST|idx1|ix[0-9]{2}", re.DOTALL)
_OPUS_SILK = (10.0, 20.0, 40.0, 60.0)  # milliseconds of a frame, by configuration (RFC 6716, 3.1)
_OPUS_HYBRID, _OPUS_CELT = (10.0, 20.0), (2.5, 5.0, 10.0, 20.0)


def is_whole(file: IO[bytes], size: int, kind: str) -> bool:
    """Whether the parts of a file of FFmpeg's format `kind` follow each other to its end, or to where it breaks off.

    True of formats that are not looked at.
    """
    data = Bytes(file, size)
    names = kind.split(",")
    if "matroska" in names:
        return _is_whole_matroska(data)
    return _is_whole_avi(data) if "avi" in names else True


def breaks_off(file: IO[bytes], size: int, kind: str) -> bool:
    """Whether a file of FFmpeg's format `kind` says that it is longer; False of formats that are not looked at.

    Only an AVI is: FFmpeg guesses how long one is whose index is missing with its end.
    """
    data = Bytes(file, size)
    if "avi" not in kind.split(","):
        return False
    return data.number(4, 4, "little") not in _UNKNOWN and 8 + data.number(4, 4, "little") > size


def _is_whole_avi(data: Bytes) -> bool:
    place = 0
    while data.at(place, 4) == b"RIFF" and data.at(place + 8, 3) == b"AVI":
        end = min(data.size, place + 8 + data.number(place + 4, 4, "little"))
        place += 12
        while place + 12 <= end:
            name, length = data.at(place, 4), data.number(place + 4, 4, "little")
            if name == b"LIST" and data.at(place + 8, 4) == b"movi":
                last = min(end, place + 8 + length) if length else end
                if not _are_chunks(data, place + 12, last):
                    return False
            place += 8 + length + length % 2
        place = end + end % 2
    return True


def _are_chunks(data: Bytes, place: int, end: int) -> bool:
    while place + 8 <= end:
        name, length = data.at(place, 4), data.number(place + 4, 4, "little")
        if not _CHUNK.fullmatch(name):
            return False
        if name == b"LIST" and data.at(place + 8, 4) == b"rec ":
            length = 4
        place += 8 + length + length % 2
        if place > end + 1 and end < data.size:  # a chunk reaches beyond its list
            return False
    return True


def _is_whole_matroska(data: Bytes) -> bool:
    place, end, cluster_end = 0, data.size, 0.0
    turns: _Turns | None = None
    cluster_time = 0
    while place < end:
        name, width = data.ebml(place, keep_mark=True)
        length, more = data.ebml(place + width, keep_mark=False)
        start = place + width + more
        if not width or not more:  # it breaks off in the midst of a name, or was never filled
            return start + 12 > data.size or not any(data.at(start, _SEARCHED))
        unknown = length == (1 << 7 * more) - 1
        after = start + length
        if name == _SEGMENT and turns is None:
            turns, place, end = _Turns(data), start, data.size if unknown else min(end, after)
            continue
        if turns is None:
            place = after
            continue
        within = place < cluster_end
        if not (name in _IN_CLUSTER and within) and not (name in _IN_SEGMENT and (not within or cluster_end == _OPEN)):
            return False
        if name == _CLUSTER:
            place, cluster_end = start, _OPEN if unknown else after
            continue
        if name in _IN_SEGMENT - _IN_CLUSTER:
            cluster_end = 0.0
        if after > min(end, cluster_end or end):
            return after > data.size and not _goes_on(data, place + 1)
        if name == _INFO:
            turns.read_scale(start, after)
        elif name == _TRACKS:
            turns.read_tracks(start, after)
        elif name == _TIME:
            cluster_time = data.number(start, length)
        elif name in (_SIMPLE_BLOCK, _GROUP) and not turns.is_next(name, start, after, cluster_time):
            return False
        place = after
    return True


def _goes_on(data: Bytes, place: int) -> bool:
    """Whether more of a recording lies behind what seems to reach beyond the file."""
    while place < data.size:
        block = data.at(place, _SEARCHED)
        if _CLUSTER.to_bytes(4, "big") in block:
            return True
        place += max(1, len(block) - 3)
    return False


class _Turns:
    """The packets of each sound track of a Matroska file, which come in their turn."""

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._opus: dict[int, bool] = {}  # tracks of sound, and whether they are Opus
        self._due: dict[int, float] = {}  # when a track's next packet begins at the earliest, in milliseconds
        self._unit = 1.0  # of the file's times, in milliseconds

    def read_scale(self, place: int, end: int) -> None:
        for name, start, after in self._elements(place, end):
            if name == _SCALE:
                self._unit = self._data.number(start, after - start) / 1e6

    def read_tracks(self, place: int, end: int) -> None:
        for name, start, after in self._elements(place, end):
            if name != _ENTRY:
                continue
            held = {one: self._data.at(begin, last - begin) for one, begin, last in self._elements(start, after)}
            if held.get(_TRACK_TYPE, b"")[-1:] == bytes([_SOUND]):
                number = int.from_bytes(held.get(_TRACK_NUMBER, b"\x01"), "big")
                self._opus[number] = held.get(_CODEC, b"").startswith(b"A_OPUS")

    def is_next(self, name: int, place: int, end: int, begin: int) -> bool:
        """Whether a block, or a group with one, of a cluster that begins at that moment is not too early."""
        if name == _SIMPLE_BLOCK:
            return self._is_next(place, end, begin)
        held = self._elements(place, end)
        return all(self._is_next(start, after, begin) for one, start, after in held if one == _BLOCK)

    def _is_next(self, place: int, end: int, begin: int) -> bool:
        track, width = self._data.ebml(place, keep_mark=False)
        if track not in self._opus:
            return True
        moment = self._unit * (begin + int.from_bytes(self._data.at(place + width, 2), "big", signed=True))
        if moment < self._due.get(track, moment) - max(_LATE, 2 * self._unit):
            return False
        self._due[track] = moment
        laced = self._data.number(place + width + 2, 1) & _LACED
        if self._opus[track] and not laced and end - place > width + 3:
            self._due[track] = moment + _opus_milliseconds(self._data.at(place + width + 3, 2))
        return True

    def _elements(self, place: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Name, beginning and end of the contents of each element, as far as they lie within."""
        while place < end:
            name, width = self._data.ebml(place, keep_mark=True)
            length, more = self._data.ebml(place + width, keep_mark=False)
            start = place + width + more
            if not width or not more or start + length > end:
                return
            yield name, start, start + length
            place = start + length


def _opus_milliseconds(head: bytes) -> float:
    """How long a packet of Opus is that begins so."""
    configuration = head[0] >> 3
    if configuration < 12:
        frame = _OPUS_SILK[configuration % 4]
    else:
        frame = _OPUS_HYBRID[configuration % 2] if configuration < 16 else _OPUS_CELT[configuration % 4]
    count = head[0] & 3
    if count == 3:
        return frame * (head[1] & 63) if len(head) > 1 else 0.0
    return frame * (1, 2, 2)[count]

"""How sound files begin, by format: enough of it to stand nowhere in sound by chance."""

from __future__ import annotations

import re
from typing import IO

REACH = 64  # bytes that a head takes at most
_BLOCK = 1 << 16

HEADS = {
    "wav": re.compile(rb"(?:RIFF|RF64).{4}WAVE(?:fmt |JUNK|bext|LIST|ds64)", re.DOTALL),
    "avi": re.compile(rb"RIFF.{4}AVI LIST", re.DOTALL),
    "aiff": re.compile(rb"FORM.{4}AIF[FC](?:COMM|FVER)", re.DOTALL),
    "flac": re.compile(rb"fLaC\x00\x00\x00\x22"),
    "ogg": re.compile(rb"OggS\x00[\x02\x06]"),
    "amr": re.compile(rb"#!AMR(?:-WB)?\n"),
    "webm": re.compile(rb"\x1a\x45\xdf\xa3.{1,40}?\x42\x82.(?:webm|matroska)", re.DOTALL),
    "mp4": re.compile(rb"\x00\x00\x00[\x10-\x40]ftyp[A-Za-z0-9][A-Za-z0-9 ]{3}", re.DOTALL),
    "asf": re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
    "wv": re.compile(rb"wvpk.{4}[\x02-\x10]\x04", re.DOTALL),
    "caf": re.compile(rb"caff\x00\x01\x00\x00desc"),
}
MPEG, ADTS = "mp3", "aac"  # streams of frames, with a tag before them or without
ANY = re.compile(b"|".join(b"(?:" + each.pattern + b")" for each in HEADS.values()), re.DOTALL)

_EXACT_FRAMES = 3  # of a stream that is known to begin there, if it begins
_FOUND_FRAMES = 12  # of one that may begin anywhere
_SYNC = re.compile(rb"\xff(?=[\xe2-\xff])")
_MPEG_RATES = (44_100, 48_000, 32_000)
_MPEG_BITS = {  # in thousands a second, by version and layer
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class Bytes:
    """Bytes of an open file, which is read a block at a time."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.size = size
        self._file = file
        self._start, self._block = 0, b""

    def at(self, place: int, count: int) -> bytes:
        """So many bytes from a place on, or as many as there are."""
        if not self._start <= place <= place + count <= self._start + len(self._block):
            self._file.seek(place)
            self._start, self._block = place, self._file.read(max(count, _BLOCK))
        return self._block[place - self._start : place - self._start + count]

    def number(self, place: int, count: int, order: str = "big") -> int:
        """The number without a sign that stands there."""
        return int.from_bytes(self.at(place, count), "little" if order == "little" else "big")

    def ebml(self, place: int, *, keep_mark: bool) -> tuple[int, int]:
        """A number of Matroska's and how many bytes it takes, 0 where there is none.

        `keep_mark`: with the bit that says how many, as names have it.
        """
        width = 9 - self.number(place, 1).bit_length()
        if not 1 <= width <= 8 or place + width > self.size:
            return 0, 0
        value = self.number(place, width)
        return (value if keep_mark else value & (1 << 7 * width) - 1), width


def kind_at(data: Bytes, place: int) -> str | None:
    """The format of the sound file that begins at a place; None where none is known to."""
    head = data.at(place, REACH)
    for kind, pattern in HEADS.items():
        if pattern.match(head):
            return kind
    after = after_tag(data, place)
    if after != place and HEADS["flac"].match(data.at(after, REACH)):
        return "flac"
    return _stream_at(data, after, _EXACT_FRAMES)


def after_tag(data: Bytes, place: int) -> int:
    """Where a tag ends that stands before a stream (ID3v2); the place itself where there is none."""
    head = data.at(place, 10)
    if len(head) < 10 or head[:3] != b"ID3" or head[3] > 4 or max(head[6:]) > 0x7F:
        return place
    footer = 10 if head[5] & 0x10 else 0
    return place + 10 + footer + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def find_head(data: Bytes, start: int, own: str) -> int | None:
    """Where, from `start` on, a file of another format than its `own` begins in the midst of a stream."""
    place = start
    while place < data.size:
        block = data.at(place, _BLOCK + REACH)
        for match in re.finditer(ANY.pattern + rb"|ID3[\x02-\x04]\x00|" + _SYNC.pattern, block, re.DOTALL):
            at = place + match.start()
            if match.start() >= _BLOCK:
                break
            if match[0][:1] != b"\xff" and match[0][:3] != b"ID3":
                if not HEADS.get(own, _SYNC).match(match[0]):
                    return at
            else:
                begin = after_tag(data, at)
                if _frame(data.at(begin, 7))[1] not in ("", own) and _stream_at(data, begin, _FOUND_FRAMES):
                    return at
        place += _BLOCK
    return None


def _stream_at(data: Bytes, place: int, frames: int) -> str | None:
    """The format of a stream of which so many frames, or all to the end, lie one after the other at a place."""
    kind, first = "", b""
    for number in range(frames):
        head = data.at(place, 7)
        if number >= 2 and place == data.size:
            break
        length, this = _frame(head)
        if not length or (number and (this != kind or not _alike(head, first))) or place + length > data.size:
            return None
        if not number:
            kind, first = this, head
        place += length
    return kind


def _alike(head: bytes, first: bytes) -> bool:
    """Whether two frames are of one stream: version, layer and sample rate."""
    return head[:1] == first[:1] and head[1] & 0xFE == first[1] & 0xFE and head[2] & 0x0C == first[2] & 0x0C


def _frame(head: bytes) -> tuple[int, str]:
    """The length in bytes of a frame with such a head, and the format of its stream; 0 where it is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0, ""
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return (length, ADTS) if length > 7 and head[2] >> 2 & 15 < 13 else (0, "")
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer not in (2, 3) or bits in (0, 15) or rate == 3:
        return 0, ""
    table = _MPEG_BITS[1 if version == 3 else 2, layer]
    hertz = _MPEG_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * table[bits - 1] * 1000 // hertz + (head[2] >> 1 & 1), MPEG

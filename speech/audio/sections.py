"""Files that are several recordings one after the other, and the part of a file that holds one of them.

A voice message that was continued is a chained Ogg file. Recorders that pause, and people with `cat`, append whole
files, of other formats as well.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, cast

from speech.audio.file_ends import next_file
from speech.audio.file_heads import HEADS, REACH, Bytes, kind_at
from speech.audio.header_sizes import missing_sizes

_BLOCK = 1 << 20  # bytes that are searched at once
_FIRST_BLOCK = 1 << 12  # likewise, at first: a file may be thousands of short ones
# Of these another file may begin anywhere; where one of another format begins, `speech.audio.file_ends` knows.
_REPEATED = ("wav", "flac", "aiff", "amr", "webm", "mp4")
_CAPTURE = b"OggS"
_HEAD = 27  # bytes of an Ogg page before its table of segments
_MOST_SEGMENTS = 255
_FIRST, _LAST = 0x02, 0x04  # an Ogg page's flags: of the first and the last of a stream
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Section:
    """One recording of a file: bytes from `start` to `end`. `cut_short`: an Ogg stream without its last page;
    `damaged`: one of whose pages some are missing or broken.

    `mended`: bytes that are to stand for the file's, by place in it. They are sizes that a header lacks, and the
    checksums of broken pages: else all of a page is lost, which is a second of sound, where one packet is damaged.
    """

    start: int
    end: int
    cut_short: bool = False
    damaged: bool = False
    mended: Mapping[int, bytes] = field(default_factory=dict)

    def opened(self, file: IO[bytes]) -> IO[bytes]:
        """This section of an open file as a file of its own."""
        if not self.mended and (self.start, self.end) == (0, file.seek(0, io.SEEK_END)):
            return file
        return cast(IO[bytes], _SectionFile(file, self))


def sections(file: IO[bytes]) -> list[Section]:
    """The recordings of a file, in order; one where it is not joined of several."""
    size = file.seek(0, io.SEEK_END)
    found: list[Section] = []
    start = 0
    while start < size:
        file.seek(start)
        if file.read(len(_CAPTURE)) == _CAPTURE:
            found += _links(file, start, size)
        else:
            end = _following(file, start, size)
            found.append(Section(start, end, mended=missing_sizes(Bytes(file, size), start, end)))
        start = found[-1].end
    return found or [Section(0, size)]


def _following(file: IO[bytes], start: int, size: int) -> int:
    """Where the recording after that begins which begins at `start`; `size` where none does."""
    data = Bytes(file, size)
    end = next_file(data, start) or size
    head = data.at(start, REACH)
    alike = next((HEADS[kind] for kind in _REPEATED if HEADS[kind].match(head)), None)
    return end if alike is None else min(end, _found(file, alike, start + 1, end))


class _SectionFile(io.RawIOBase):
    """A section of an open file, which this neither owns nor expects to stay where it is."""

    def __init__(self, file: IO[bytes], section: Section) -> None:
        self._file, self._section, self._at = file, section, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size = self._section.end - self._section.start
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        start = self._section.start + self._at
        self._file.seek(start)
        data = bytearray(self._file.read(max(0, min(len(buffer), self._section.end - start))))
        for place, bytes_there in self._section.mended.items():
            for number, byte in enumerate(bytes_there, place - start):
                if 0 <= number < len(data):
                    data[number] = byte
        buffer[: len(data)] = bytes(data)
        self._at += len(data)
        return len(data)


def _found(file: IO[bytes], beginning: re.Pattern[bytes], start: int, end: int) -> int:
    """Where between two places a file begins so; the latter where none does."""
    file.seek(start)
    base, rest, count = start, b"", _FIRST_BLOCK
    while base < end and (block := file.read(count)):
        searched = rest + block
        if match := beginning.search(searched):
            return min(end, base + match.start())
        rest = searched[-REACH:]
        base += len(searched) - len(rest)
        count = min(_BLOCK, 2 * count)
    return end


@dataclass(frozen=True)
class _Page:
    start: int
    flags: int
    stream: bytes
    number: int
    checksum: bytes | None
    """What its checksum is to be, where that does not hold."""


def _links(file: IO[bytes], start: int, size: int) -> list[Section]:
    """The links of a chained Ogg file that begins at `start`: each begins with the first pages of its streams. The last
    ends where the file does, or where one of another format begins."""
    links: list[list[_Page]] = []
    end = size
    for page in _pages(file, start, size):
        if isinstance(page, int):
            end = page
            break
        if not links or (page.flags & _FIRST and not links[-1][-1].flags & _FIRST):
            links.append([])
        links[-1].append(page)
    starts = [link[0].start for link in links] or [start]
    ends = [*starts[1:], end]
    starts[0] = start
    return [_link(begin, after, pages) for begin, after, pages in zip(starts, ends, links or [[]], strict=True)]


def _link(start: int, end: int, pages: list[_Page]) -> Section:
    numbers: dict[bytes, int] = {}
    damaged = False
    for page in pages:
        damaged = damaged or page.number != numbers.get(page.stream, page.number - 1) + 1
        numbers[page.stream] = page.number
    checksums = {page.start + 22: page.checksum for page in pages if page.checksum}
    # A recorder that breaks off never marks a last page.
    cut_short = not pages or not pages[-1].flags & _LAST
    return Section(start, end, cut_short, damaged or bool(checksums), checksums)


def _pages(file: IO[bytes], start: int, size: int) -> Iterator[_Page | int]:
    """The pages whose checksum holds, and those that end where another begins; at last where a file of another format
    begins right behind a page, if one does."""
    at, behind = start, False
    while at < size:
        file.seek(at)
        page = file.read(_HEAD + _MOST_SEGMENTS)
        if page.startswith(_CAPTURE) and len(page) >= _HEAD:
            table = page[_HEAD : _HEAD + page[_HEAD - 1]]
            length = _HEAD + len(table) + sum(table)
            page = page[:length] + file.read(length - len(page)) if length > len(page) else page[:length]
            if len(page) == length:
                checksum = _checksum(page)
                holds = checksum == page[22:26]
                file.seek(at + length)
                if holds or (at > start and file.read(len(_CAPTURE)) in (b"", _CAPTURE)):
                    number = int.from_bytes(page[18:22], "little")
                    yield _Page(at, page[5], page[14:18], number, None if holds else checksum)
                    at, behind = at + length, True
                    continue
        elif behind and kind_at(Bytes(file, size), at) is not None:
            yield at
            return
        at, behind = _next_capture(file, at + 1, size), False


def _next_capture(file: IO[bytes], at: int, size: int) -> int:
    """Where the next page may begin; `size` where none does."""
    while at < size:
        file.seek(at)
        block = file.read(_BLOCK)
        if (found := block.find(_CAPTURE)) >= 0:
            return at + found
        at += max(1, len(block) - len(_CAPTURE) + 1)
    return size


def _checksum(page: bytes) -> bytes:
    """CRC-32 of an Ogg page as RFC 3533 has it: zlib's, mirrored, without the two inversions."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    value = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2).to_bytes(4, "little")

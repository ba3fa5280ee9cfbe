"""Where a sound file ends within a larger file, by what it says of itself, and whether another begins there."""

from __future__ import annotations

from collections.abc import Iterator

from speech.audio.file_heads import ADTS, MPEG, Bytes, after_tag, find_head, kind_at

_UNKNOWN = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # sizes that whoever writes to a pipe leaves
_PLAIN = (1, 3, 6, 7, 0xFFFE)  # formats of a wav that holds samples, and no stream
_ASF_OBJECTS = (b"\x30\x26\xb2\x75", b"\x36\x26\xb2\x75", b"\x90\x08\x00\x33", b"\xd6\x29\xe2\xd3")
_MASTERS = (0x18538067, 0x1F43B675)  # Matroska's segment and cluster, which may be of unknown length
_ELEMENTS = {  # what may stand within these
    0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, 0xEC, 0xBF, 0xE7,
    0xA3, 0xA0, 0xAB, 0xA7, 0x5854,
}  # fmt: skip
_AMR_BYTES = {b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6), b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6)}
_AMR_EMPTY = 14  # from here on frame types of which nothing follows


def next_file(data: Bytes, start: int) -> int | None:
    """Where another sound file begins right where that ends which begins at `start`; None where none is known to.

    A stream of frames (mp3, aac, flac) does not say where it ends: there a head of another format is its end, wherever
    it stands.
    """
    kind = kind_at(data, start)
    if kind is None:
        return None
    first = _first_frame(data, start, kind)
    if first is not None:
        return find_head(data, first, kind)
    for end in _ends(data, start, kind):
        if start < end < data.size and kind_at(data, end) is not None:
            return end
    return None


def _first_frame(data: Bytes, start: int, kind: str) -> int | None:
    """Where the stream begins of a file that does not say where it ends; None of others."""
    if kind in (MPEG, ADTS):
        return after_tag(data, start)
    if kind == "flac":
        place, last = after_tag(data, start) + 4, False
        while not last and place < data.size:
            last = bool(data.number(place, 1) & 0x80)
            place += 4 + data.number(place + 1, 3)
        return place
    if kind == "wav" and data.number(start + 4, 4, "little") in _UNKNOWN:
        chunks = dict(_chunks(data, start + 12, "little"))
        sound = chunks.get(b"data")
        plain = b"fmt " in chunks and data.number(chunks[b"fmt "], 2, "little") in _PLAIN
        return sound if sound is not None and plain else None
    return None


def _ends(data: Bytes, start: int, kind: str) -> Iterator[int]:
    """Where a file may end: by its size, and by that of its parts."""
    if kind in ("wav", "avi", "aiff"):
        yield from _iff_ends(data, start, "big" if kind == "aiff" else "little")
    elif kind == "mp4":
        yield _boxes_end(data, start)
    elif kind == "webm":
        yield _elements_end(data, start)
    elif kind == "asf":
        yield _objects_end(data, start)
    elif kind == "wv":
        yield _after_tags(data, _blocks_end(data, start))
    elif kind == "caf":
        yield _caf_end(data, start)
    elif kind == "amr":
        yield _amr_end(data, start)


def _iff_ends(data: Bytes, start: int, order: str) -> Iterator[int]:
    end = start + 8 + data.number(start + 4, 4, order)
    if data.at(start, 4) == b"RF64":
        end = start + 8 + data.number(start + 20, 8, order)
    while data.at(end, 4) == b"RIFF" and data.at(end + 8, 4) == b"AVIX":
        end += 8 + data.number(end + 4, 4, order)
    yield end
    yield end + 1  # an odd length is padded
    for name, place in _chunks(data, start + 12, order):
        if name in (b"data", b"SSND"):  # writers err in the size of the whole
            length = data.number(place - 4, 4, order)
            yield place + length
            yield place + length + 1


def _chunks(data: Bytes, place: int, order: str) -> Iterator[tuple[bytes, int]]:
    """Chunks up to that of the sound, and where their contents begin."""
    while place + 8 <= data.size:
        name = data.at(place, 4)
        yield name, place + 8
        if name in (b"data", b"SSND"):
            return
        length = data.number(place + 4, 4, order)
        place += 8 + length + length % 2


def _boxes_end(data: Bytes, start: int) -> int:
    place = start
    while place + 8 <= data.size:
        length, name = data.number(place, 4), data.at(place + 4, 4)
        if length == 1:
            length = data.number(place + 8, 8)
        if (name == b"ftyp" and place > start) or not name.isalnum() or not 8 <= length <= data.size - place:
            break
        place += length
    return place


def _elements_end(data: Bytes, start: int) -> int:
    place = start
    while place < data.size:
        identity, width = data.ebml(place, keep_mark=True)
        length, size_width = data.ebml(place + width, keep_mark=False)
        known = identity in _ELEMENTS or identity in _MASTERS or (place == start)
        if not known or not width or not size_width:
            break
        unknown = length == (1 << 7 * size_width) - 1
        if unknown and identity not in _MASTERS:
            break
        place += width + size_width + (0 if unknown else length)
    return place


def _objects_end(data: Bytes, start: int) -> int:
    place = start
    while place + 24 <= data.size and data.at(place, 4) in _ASF_OBJECTS:
        length = data.number(place + 16, 8, "little")
        if length < 24 or (place > start and data.at(place, 4) == _ASF_OBJECTS[0]):
            break
        place += length
    return place


def _blocks_end(data: Bytes, start: int) -> int:
    place = start
    while data.at(place, 4) == b"wvpk":
        place += 8 + data.number(place + 4, 4, "little")
    return place


def _after_tags(data: Bytes, place: int) -> int:
    """Where the tags end that stand behind a file (APEv2, ID3v1)."""
    if data.at(place, 8) == b"APETAGEX":
        footer = 32 if data.number(place + 20, 4, "little") & 0x20000000 else 0
        place += footer + data.number(place + 12, 4, "little")
    return place + 128 if data.at(place, 3) == b"TAG" else place


def _caf_end(data: Bytes, start: int) -> int:
    place = start + 8
    while place + 12 <= data.size and data.at(place, 4).isalnum():
        length = data.number(place + 4, 8)
        if length in _UNKNOWN[1:]:
            return data.size
        if length > data.size - place:
            break
        place += 12 + length
    return place


def _amr_end(data: Bytes, start: int) -> int:
    head = data.at(start, 9)
    head = head if head in _AMR_BYTES else head[:6]
    lengths, place = _AMR_BYTES[head], start + len(head)
    while place < data.size:
        frame = data.number(place, 1)
        kind = frame >> 3 & 15
        if frame & 0x83 or not (kind < len(lengths) or kind >= _AMR_EMPTY) or data.at(place + 4, 4) == b"ftyp":
            break
        place += lengths[kind] if kind < len(lengths) else 1
    return place

"""Files as JSON holds them: in base64, or as a data: URL (RFC 2397) such as browsers make.

All of it is done in pieces: a call that reads megabytes of text at once keeps every other thread from running.
"""

from __future__ import annotations

import binascii
import re
import tempfile
from collections.abc import Iterator
from typing import IO
from urllib.parse import unquote, unquote_to_bytes

from api.intake.problems import Problem, no_room

_PIECE = 1 << 18  # characters that are unpacked at once, some milliseconds' work
_BREAKS = b" \t\r\n"  # with which programs break base64 into lines
_DATA_URL = re.compile(r"\s*data:([^,]{0,1000}),", re.IGNORECASE)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]?\Z")  # one that the end of a piece may cut


def packed_file(text: str, field: str, max_bytes: int) -> IO[bytes]:
    """The file that `text` holds, open at its beginning and without a name. Raises `Problem` 400, 413 or 503."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 the caller closes it
    try:
        size = 0
        for piece in _unpacked(text, field):
            size += len(piece)
            if size > max_bytes:
                raise Problem(413, "too_large", f"more than the {max_bytes / 1e6:.0f} MB that are taken", field=field)
            file.write(piece)
        file.seek(0)  # which flushes
    except OSError as error:
        file.close()
        raise no_room(error) from error
    except BaseException:
        file.close()
        raise
    return file


def _unpacked(text: str, field: str) -> Iterator[bytes]:
    url = _DATA_URL.match(text)
    try:
        if url is None:
            yield from _from_base64(_pieces(text, 0))
        elif url.group(1).strip().lower().endswith(";base64"):
            yield from _from_base64(map(unquote, _whole_escapes(_pieces(text, url.end()))))
        else:
            yield from map(unquote_to_bytes, _whole_escapes(_pieces(text, url.end())))
    except (UnicodeEncodeError, binascii.Error) as error:
        how = "send the recording's bytes in base64 (RFC 4648), padding included, or as a data: URL"
        raise Problem(400, "not_base64", f"is not base64 ({_reason(error)}); {how}", field=field) from error


def _pieces(text: str, start: int) -> Iterator[str]:
    return (text[at : at + _PIECE] for at in range(start, len(text), _PIECE))


def _whole_escapes(pieces: Iterator[str]) -> Iterator[str]:
    """The same text in pieces that end in no escape (%41): one that is cut goes to the next."""
    rest = ""
    for piece in pieces:
        piece = rest + piece
        cut = _ESCAPE.search(piece, max(0, len(piece) - 2))
        end = cut.start() if cut else len(piece)
        rest = piece[end:]
        yield piece[:end]
    yield rest


def _from_base64(pieces: Iterator[str]) -> Iterator[bytes]:
    """Raises binascii.Error, UnicodeEncodeError."""
    rest = b""
    ended = False
    for piece in pieces:
        packed = rest + piece.encode("ascii").translate(None, _BREAKS)
        end = len(packed) // 4 * 4
        if ended and packed:
            raise binascii.Error("Excess data after padding")
        ended = ended or b"=" in packed[:end]
        yield binascii.a2b_base64(packed[:end], strict_mode=True)
        rest = packed[end:]
    yield binascii.a2b_base64(rest, strict_mode=True)


def _reason(error: UnicodeEncodeError | binascii.Error) -> str:
    return "it holds other letters than ASCII's" if isinstance(error, UnicodeEncodeError) else str(error)

"""Delimited text as people export it: encoding and delimiter by evidence, records numbered as in a spreadsheet."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Sequence

from tabular.content import Content, ContentError, Record

DELIMITERS = (",", ";", "\t", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARKS = ("\ufeff", "\u200b", "ï»¿", "п»ї")  # the first again, and as it looks where it was read in Latin-1 or cp1251
_SINGLE_BYTE = ("cp1251", "cp866", "koi8-r")  # Windows first: where the evidence is equal it is the likeliest
_FREQUENT = frozenset("оеаинтсрвл")  # three fifths of Russian running text; a wrong decoding scatters over all letters
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;\t]*\r?\n', re.IGNORECASE)  # Excel's own hint, which is no record
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_PROBED_RECORDS = 50


class DelimitedError(ContentError):
    """The file cannot be read as delimited text: `code` is `spreadsheet`, `encoding`, `empty` or `quotes`."""


def parse(data: bytes, recognised: Callable[[Sequence[str]], int]) -> Content:
    """Read delimited text.

    `recognised` says how many cells of a would-be header are known column names: the delimiter that makes the
    header most familiar is taken, then the one that cuts the records most evenly.
    Raises `DelimitedError` for what is no text, damaged UTF-8, a quote that never closes, and a file without a header.
    """
    text, encoding = decode_text(data)
    while text.startswith(_MARKS):
        text = text[next(len(mark) for mark in _MARKS if text.startswith(mark)) :]
    offset = 0
    delimiters: Sequence[str] = DELIMITERS
    if hint := _SEPARATOR_LINE.match(text):
        text, offset, delimiters = text[hint.end() :], 1, (hint.group(1),)
    delimiter = max(delimiters, key=lambda candidate: _evidence(text, candidate, recognised))
    records = [
        record for record in _records(text, delimiter, offset) if record.error or any(map(str.strip, record.cells))
    ]
    if not records:
        raise DelimitedError("empty", "it is empty; its first line must name the columns")
    header = records[0]
    if header.error:
        raise DelimitedError("quotes", f"its header cannot be read: {header.error}")
    return Content(encoding, delimiter, header.cells, tuple(records[1:]))


def decode_text(data: bytes) -> tuple[str, str]:
    """Text and the name of its encoding: a byte order mark decides, then valid UTF-8, then Russian letter frequency."""
    if data.startswith(b"PK\x03\x04") or data.startswith(b"\xd0\xcf\x11\xe0"):
        raise DelimitedError("spreadsheet", "it is a spreadsheet, not text; save it as CSV (UTF-8)")
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), encoding
            except UnicodeDecodeError as error:
                raise DelimitedError(
                    "encoding", f"its {encoding} is damaged at byte {error.start}; save it as UTF-8"
                ) from error
    if b"\0" in data:
        for encoding in ("utf-16-le", "utf-16-be"):
            text = _try(data, encoding)
            if text and "\n" in text and not _CONTROL.search(text):
                return text, encoding
        raise DelimitedError("encoding", "it holds zero bytes, so it is no text; save it as CSV (UTF-8)")
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        _refuse_damaged_utf8(data, error)
    decoded = [(text, encoding) for encoding in _SINGLE_BYTE if (text := _try(data, encoding)) is not None]
    if not decoded:  # cp866 and koi8-r map every byte, so this is for whoever shortens the list
        raise DelimitedError("encoding", "its encoding is not recognised; save it as UTF-8")
    return max(decoded, key=lambda pair: _russian(pair[0]))


def _refuse_damaged_utf8(data: bytes, error: UnicodeDecodeError) -> None:
    """Text that is UTF-8 but for a few bytes must not be read as cp1251: every word would turn to gibberish."""
    replaced = data.decode("utf-8", errors="replace")
    damaged = replaced.count("\ufffd")
    if sum(character > "\x7f" for character in replaced) - damaged > 10 * damaged:
        line = data.count(b"\n", 0, error.start) + 1
        raise DelimitedError(
            "encoding", f"line {line} holds bytes that are not UTF-8, as the rest is; save it as UTF-8"
        ) from error


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _russian(text: str) -> float:
    foreign = [character for character in text.casefold() if character > "\x7f"]
    return sum(character in _FREQUENT for character in foreign) / max(1, len(foreign))


def _evidence(text: str, delimiter: str, recognised: Callable[[Sequence[str]], int]) -> tuple[int, float, int]:
    lines = text.split("\n", _PROBED_RECORDS)[:_PROBED_RECORDS]
    probe = [record.cells for record in _records("\n".join(lines), delimiter, 0, lenient=True) if record.cells]
    if not probe:
        return 0, 0.0, 0
    width = len(probe[0])
    return recognised(probe[0]), sum(len(cells) == width for cells in probe) / len(probe), width


def _records(text: str, delimiter: str, offset: int, lenient: bool = False) -> list[Record]:
    """Every record of `text`; in a lenient reading quotes that do not match are taken as they come."""
    lines = io.StringIO(_without_blanks(text, delimiter), newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=not lenient)
    records: list[Record] = []
    while True:
        number = len(records) + 1 + offset
        try:
            records.append(Record(number, tuple(next(reader))))
        except StopIteration:
            return records
        except csv.Error as error:
            if "unexpected end of data" in str(error) or "field larger" in str(error):
                message = f"a quote opened in row {number} never closes; close it or double it"
                raise DelimitedError("quotes", message, number) from error
            records.append(Record(number, (), str(error)))


def _without_blanks(text: str, delimiter: str) -> str:
    """`text` without what is blank between a delimiter and a quoted cell: such quotes are no part of the cell."""
    if '"' not in text:
        return text
    edge, blank = re.escape(delimiter), "[ \t\u00a0\u200b\ufeff]".replace("\t" if delimiter == "\t" else "", "")
    quoted = rf'(^|{edge}){blank}*("(?:[^"\r\n]|"")*"){blank}*(?={edge}|\r|\n|\Z)'
    return re.sub(quoted, r"\1\2", text, flags=re.MULTILINE)

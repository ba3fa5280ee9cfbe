"""The zip that a workbook is, checked before it is opened: its kind, what it unpacks to, what its XML would grow to.

openpyxl keeps every element of a row, and of a part that is no sheet, in memory at once. It does not tell formulas
without a value from empty cells, nor which cells are merged. Both stand in the XML, which is read here once.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from xml.parsers import expat

from tabular.content import ContentError

REMEDY = "save it as .xlsx or as CSV (UTF-8)"
BROKEN = f"open it in a spreadsheet program and {REMEDY} again"

_PASSWORD = "it is a workbook with a password; save it without one"
_COMPOUND = b"\xd0\xcf\x11\xe0"  # of Office before 2007, and of what Office protects by a password
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_ENTRY = b"PK\x01\x02"
_TAKEN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others are unpacked a whole block at a time, however large
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|meta|style|table|\?xml)", re.IGNORECASE)
_MOST_ENTRIES = 10_000
_MOST_UNPACKED = 256 << 20  # a million rows of five columns
_MOST_SHEETS = 200  # each is looked into
_MOST_ELEMENTS = 1 << 20  # of one row, in which Excel has 16,384 cells, or of a part without rows
_MOST_RECORDS = 1 << 22  # rows of a sheet, of which Excel has 1,048,576, and texts that its cells share
_BLOCK = 1 << 18
_RANGE = re.compile(r"([A-Z]{1,3})(\d{1,7}):[A-Z]{1,3}(\d{1,7})")
_STRICT = b"purl.oclc.org/ooxml"
_OTHERS = (
    ("xl/workbook.bin", "an Excel binary workbook (.xlsb)"),
    ("word/document.xml", "a Word document"),
    ("content.xml", "an OpenDocument file (.ods)"),
    ("Index/Document.iwa", "a Numbers document"),
    ("Index.zip", "a Numbers document"),
)


@dataclass
class Sheet:
    """What one part of the package says of its cells."""

    uncalculated: set[str] = field(default_factory=set)
    """Names (`C7`) of cells with a formula and no value."""
    merged: list[tuple[str, int, int]] = field(default_factory=list)
    """Column, first and last row of cells that are merged downwards."""


def begins_workbook(data: bytes) -> bool:
    """Whether a file is a workbook, of whatever kind, or a web page in the place of one: it is told by its head."""
    return data.startswith((_COMPOUND, *_ZIPS)) or _PAGE.match(data) is not None


def check(data: bytes) -> dict[str, Sheet]:
    """What the parts of a workbook say of their cells, by the parts' names.

    Raises `ContentError`: `spreadsheet` of another kind than .xlsx, `password`, `unsafe` or `broken`.
    """
    if data.startswith(_COMPOUND):
        if _ENCRYPTED in data:
            raise ContentError("password", _PASSWORD)
        raise ContentError("spreadsheet", f"it is a workbook of Excel 97-2003 (.xls); {REMEDY}")
    if not data.startswith(_ZIPS):
        raise ContentError("spreadsheet", f"it is a web page and no workbook; open it in a spreadsheet and {REMEDY}")
    if data.count(_ENTRY) > _MOST_ENTRIES:
        raise unsafe(f"it holds more than {_MOST_ENTRIES} files")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            entries = zipped.infolist()
            _check_entries(entries)
            return {entry.filename: _examined(zipped, entry) for entry in entries}
    # An OSError is a seek to a place that the zip only claims to have.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, UnicodeDecodeError) as error:
        raise ContentError("broken", f"it is a broken workbook ({error}); {BROKEN}") from error


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    names = {entry.filename for entry in entries}
    kind = next((kind for name, kind in _OTHERS if name in names), None)
    if kind is not None:
        raise ContentError("spreadsheet", f"it is {kind}; {REMEDY}")
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise ContentError("password", _PASSWORD)
    if any(entry.compress_type not in _TAKEN for entry in entries):
        raise ContentError("broken", f"it is packed as no spreadsheet program does; {BROKEN}")
    # zipfile gives no more bytes of an entry than it announces, so what they announce is a bound.
    if sum(entry.file_size for entry in entries) > _MOST_UNPACKED:
        raise unsafe(f"it unpacks to more than {_MOST_UNPACKED >> 20} MiB")


def unsafe(what: str) -> ContentError:
    """The error of a workbook that would fill the memory, with the remedy."""
    return ContentError("unsafe", f"{what}; save its table alone as CSV (UTF-8)")


def _examined(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Sheet:
    part = _Part()
    with zipped.open(entry) as packed:
        block = packed.read(_BLOCK)
        if entry.filename == "xl/workbook.xml" and _STRICT in block:
            raise ContentError("spreadsheet", f"it is a workbook in Strict Open XML; {REMEDY}")
        try:
            while block:
                part.feed(block)
                block = packed.read(_BLOCK)
        except expat.ExpatError:  # a picture, or damage: openpyxl tells of it where it needs the part
            return Sheet()
    return part.found()


class _Part:
    """One part's XML as it is read."""

    def __init__(self) -> None:
        self._sheet = Sheet()
        self._parser = expat.ParserCreate()
        self._parser.EntityDeclHandler = self._entity
        self._parser.StartElementHandler = self._element
        self._elements = self._records = self._sheets = 0
        self._cell = ""
        self._text_cell = False
        self._formula = False

    def feed(self, block: bytes) -> None:
        self._parser.Parse(block, False)

    def found(self) -> Sheet:
        self._end_cell()
        return self._sheet

    def _entity(self, *_: object) -> None:
        raise unsafe("its XML declares entities, which no spreadsheet program writes")

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self._elements += 1
        if name == "c":
            self._end_cell()
            self._cell, self._text_cell = attributes.get("r", ""), attributes.get("t") == "str"
        elif name == "f" and self._cell and not self._text_cell:
            self._formula = True
        elif name == "v" and self._formula:
            self._parser.CharacterDataHandler = self._value
        elif name in ("row", "si"):
            self._end_cell()
            self._elements = 0
            self._records += 1
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        elif name == "sheet":
            self._sheets += 1
        if self._elements > _MOST_ELEMENTS or self._records > _MOST_RECORDS or self._sheets > _MOST_SHEETS:
            raise unsafe("it holds more than a table does")

    def _value(self, text: str) -> None:
        if text.strip():
            self._formula = False

    def _end_cell(self) -> None:
        if self._formula:
            self._sheet.uncalculated.add(self._cell)
        if self._parser.CharacterDataHandler is not None:
            self._parser.CharacterDataHandler = None
        self._cell, self._formula = "", False

    def _merge(self, ref: str) -> None:
        found = _RANGE.fullmatch(ref)
        if found and int(found[2]) < int(found[3]):
            self._sheet.merged.append((found[1], int(found[2]), int(found[3])))
